"""The server's status stays `online` while an ingest is there, whatever else is published in its place."""

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rooms
from brokers import ACCOUNTS, DEVICE, RunningBroker
from outboxes import open_outbox
from patience import REPLY_S, Patience
from rooms import Room
from services import RunningStore, wait_until
from sessions import put, running_session

from broker import topics
from server.ingest import connection as module
from server.ingest.connection import Connection
from server.settings import ServerSettings

ONLINE = b'{"v":1,"state":"online"}'
WRONG = [b"", b"nonsense", b'{"v":2,"state":"online"}', b'{"v":1,"state":"busy"}', b'{"v":1,"state":"offline"}', b"[]"]


@contextmanager
def listening(broker: RunningBroker) -> Iterator[list[bytes]]:
    """Yield what devices are told of the server, as it comes."""
    heard: list[bytes] = []
    with broker.client(DEVICE, lambda _, payload: heard.append(payload)) as client:
        client.subscribe(topics.SERVER_STATUS, 1)
        yield heard


def write(broker: RunningBroker, payload: bytes, *, retain: bool = True) -> None:
    """Publish something as the server's status."""
    with broker.client("server") as client:
        client.publish(topics.SERVER_STATUS, payload, qos=1, retain=retain).wait_for_publish(REPLY_S)


@pytest.fixture(scope="module")
def ingest_settings() -> dict[str, str]:
    """Return how ingest logs in."""
    return {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}


@pytest.mark.slow
@pytest.mark.parametrize("payload", WRONG)
def test_ingest_says_online_again_against_whatever_else_is_published(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path, payload: bytes
) -> None:
    """Cleared, malformed, of another version, in another state: devices are told otherwise within a second."""
    with rooms.ingest(tmp_path, broker, redis_store) as room, listening(broker) as heard:
        room.says("the server is online")
        wait_until(lambda: heard == [ONLINE], "devices are told")
        write(broker, payload)
        wait_until(lambda: heard == [ONLINE, payload, ONLINE], f"ingest contradicts: {room.log}")
        with listening(broker) as later:
            wait_until(lambda: later == [ONLINE], "it is retained")


def test_what_was_retained_before_ingest_started_is_replaced(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """A malformed status from before is no obstacle, and neither is one that is not retained."""
    write(broker, b"nonsense")
    with rooms.ingest(tmp_path, broker, redis_store) as room, listening(broker) as heard:
        room.says("the server is online")
        wait_until(lambda: heard[-1:] == [ONLINE], "devices are told")
        write(broker, b"", retain=False)
        wait_until(lambda: heard[-2:] == [b"", ONLINE], "ingest contradicts")


def test_two_ingests_do_not_fight_over_the_status(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """Each contradicts what is malformed once, and neither the other."""
    with contextlib.ExitStack() as stack:
        both: list[Room] = []
        for number, name in enumerate(("one", "two"), 1):
            (tmp_path / name).mkdir()
            settings = {"mqtt_version": "5", "mqtt_client_id": name, "mqtt_share": "team-4b1f0c72a9d84e6f"}
            both.append(stack.enter_context(rooms.ingest(tmp_path / name, broker, redis_store, number, **settings)))
            both[-1].says("the server is online")
        heard = stack.enter_context(listening(broker))
        wait_until(lambda: heard == [ONLINE], "devices are told")
        write(broker, b"nonsense")
        wait_until(lambda: heard == [ONLINE, b"nonsense", ONLINE, ONLINE], "both contradict")
        assert both[0].stop() == 0
        wait_until(lambda: heard[4:] == [b'{"v":1,"state":"offline"}', ONLINE], "the one that is left contradicts once")


@pytest.mark.slow
def test_a_broker_that_lost_its_database_is_told_again(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """Ingest comes back to it with its status, and the device, which heard of no server meanwhile, sends."""
    outbox = open_outbox(tmp_path / "state")
    with rooms.ingest(tmp_path, broker, redis_store) as room, running_session(broker, outbox) as session:
        room.says("the server is online")
        wait_until(lambda: session.server == "online", "the device is told")
        broker.stop()
        (database,) = (tmp_path / "broker").rglob("mosquitto.db")
        database.unlink()
        put(outbox, 0)
        broker.start()
        session.notify()
        assert session.drain(REPLY_S) == 0


@pytest.fixture
def connection(broker: RunningBroker, ingest_settings: dict[str, str]) -> Iterator[Connection]:
    """Return ingest's connection, which a test turns by hand."""
    made = Connection(ServerSettings(mqtt_url=broker.url, **ingest_settings), lambda _: None)
    yield made
    made.stop()


def turned(connection: Connection, heard: list[bytes], count: int) -> None:
    """Turn the connection as the worker does, until so many messages are heard or the patience ends."""
    patience = Patience()
    while len(heard) < count and patience.is_left:
        connection.turn(0.02)
        connection.announce("online")


def test_whoever_answers_each_contradiction_is_answered_seldom(
    broker: RunningBroker, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program that insists on something else makes no storm."""
    monkeypatch.setattr(module, "_INSIST_S", 1.0)
    with listening(broker) as heard, broker.client("server", lambda *_: None) as rival:
        turned(connection, heard, 1)
        rival.publish(topics.SERVER_STATUS, b"x", qos=1, retain=True)
        turned(connection, heard, 3)
        assert heard == [ONLINE, b"x", ONLINE]
        start_s = time.monotonic()
        rival.publish(topics.SERVER_STATUS, b"x", qos=1, retain=True)
        turned(connection, heard, 5)
        assert heard[3:] == [b"x", ONLINE]
        assert time.monotonic() - start_s > 0.5


def test_online_is_said_again_now_and_then(
    broker: RunningBroker, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that drops what is retained without telling anybody keeps devices waiting only so long."""
    monkeypatch.setattr(module, "_REPEAT_S", 0.2)
    with listening(broker) as heard:
        turned(connection, heard, 3)
        assert heard == [ONLINE] * 3
