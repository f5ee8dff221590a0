"""The live process serves what ingest stores, and is not harmed by bytes that are no request."""

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, free_port, running_broker
from clients import VIEWER
from live_events import ALL, LiveClient, LiveServer
from networks import needs_ipv6
from patience import REPLY_S
from records import reading, status
from rooms import Rest, Room
from services import RunningStore, wait_until

from broker import topics
from broker.messages import encode
from server.errors import UnusableError
from server.live import serve
from server.settings import ServerSettings


@pytest.mark.slow
def test_what_a_device_publishes_reaches_subscribers_once(redis_store: RunningStore, tmp_path: Path) -> None:
    """Ingest and the live process run as an operator runs them; a repeated reading comes once."""
    port = free_port()
    with running_broker(tmp_path / "broker") as broker:
        services = {"redis_url": redis_store.url, "mqtt_url": broker.url}
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        with (
            Room(tmp_path, "server", "ingest", **services, **login) as ingest,
            Room(tmp_path, "server", "live", **services, viewer_token=VIEWER, live_port=port) as process,
            broker.client(DEVICE) as device,
        ):
            ingest.says("the server is online")
            wait_until(Rest(port).ready, "live events are served")
            client = LiveClient(f"http://127.0.0.1:{port}{ALL}")
            now = time.time_ns() // 1_000_000
            device.publish(topics.topic(DEVICE, "status"), encode(status()), qos=1)
            for seq in (0, 0, 1):
                device.publish(topics.topic(DEVICE, "reading"), encode(reading(seq, now + seq)), qos=1)
            events = client.wait(3)
            assert process.stop() == 0
            wait_until(lambda: client.ended, "the stream ends when the process does")
            client.close()
    assert [told.get("at", told["state"]) for _, _, told in events] == ["online", now, now + 1]
    assert "Traceback" not in process.log


@needs_ipv6
def test_an_ipv6_address_is_listened_on() -> None:
    """A machine without IPv4 serves live events too."""
    (listening,) = serve.listen(ServerSettings(live_host="::1", live_port=0))
    with listening, socket.create_connection(listening.getsockname()[:2], timeout=REPLY_S) as client:
        assert client.getpeername()[0] == "::1"


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
def test_an_address_of_another_machine_is_one_sentence(host: str) -> None:
    """The sentence names both settings."""
    with pytest.raises(UnusableError, match=f"cannot listen on live_host {host} and live_port 0 .*: set an address"):
        serve.listen(ServerSettings(live_host=host, live_port=0))


def test_bytes_that_are_no_request_are_answered_400(server: LiveServer) -> None:
    """Other clients are still served."""
    with closing(socket.create_connection(server.url.removeprefix("http://").split(":"))) as client:  # type: ignore[arg-type]
        client.sendall(b"\x16\x03\x01 no request\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert server.get("/readyz").ok
