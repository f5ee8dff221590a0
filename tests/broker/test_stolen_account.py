"""What somebody with the account of one device can do to the others, at a broker as `moodwire setup` makes it."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import rooms
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, RunningBroker
from patience import REPLY_S
from records import reading
from services import RunningStore, wait_until

from broker import topics
from broker.messages import Stored, decode, encode
from server.settings import ServerSettings

COUNT = 30
INGEST_IDS = (ServerSettings().mqtt_client_id, "server")


def thief(broker: RunningBroker, client_id: str, *, clean: bool = True) -> mqtt.Client:
    """Return a client with the stolen account that is not connected."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean)
    client.username_pw_set(OTHER_DEVICE, ACCOUNTS[OTHER_DEVICE])
    client.connect_async("127.0.0.1", broker.port)
    return client


@contextmanager
def taking(broker: RunningBroker, client_id: str) -> Iterator[None]:
    """Connect with a client id, and again as soon as someone else has it."""
    done = threading.Event()

    def take() -> None:
        while not done.is_set():
            client = thief(broker, client_id)
            with contextlib.suppress(OSError):
                client.reconnect()
                while not done.is_set() and client.loop(0.1) == mqtt.MQTT_ERR_SUCCESS:
                    pass
            client.disconnect()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.slow
def test_nobody_takes_the_connection_of_ingest(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """While a stolen account takes the client id of ingest again and again, every reading is stored all the same."""
    answers: list[bytes] = []

    def confirmed() -> set[int]:
        spans = [span for answer in list(answers) for span in decode(answer, Stored).stored]
        return {seq for first, last in spans for seq in range(first, last + 1)}

    now = int(redis_store.client.time()[0]) * 1000
    with (
        rooms.ingest(tmp_path, broker, redis_store) as room,
        broker.client(DEVICE, lambda _, payload: answers.append(payload)) as device,
    ):
        room.says("the server is online")
        device.subscribe(topics.topic(DEVICE, "stored"), 1)
        with taking(broker, INGEST_IDS[0]), taking(broker, INGEST_IDS[1]):
            for seq in range(COUNT):
                device.publish(topics.topic(DEVICE, "reading"), encode(reading(seq, now)), qos=1)
                wait_until(lambda seq=seq: seq in confirmed(), f"reading {seq} is confirmed")
        assert "is lost" not in room.log


def test_an_account_has_one_connection_and_one_session(broker: RunningBroker) -> None:
    """Twenty connections of a stolen account throw each other out, and leave one session behind, not twenty."""
    clients = [thief(broker, f"session-{number}", clean=False) for number in range(20)]
    present: list[bool] = []
    for client in clients:
        client.on_connect = lambda _client, _data, flags, _reason, _properties: present.append(flags.session_present)
        client.reconnect()
        wait_until(lambda client=client: client.loop(0.1) or client.is_connected(), "it is connected")
    ended = [client.loop(0.5) != mqtt.MQTT_ERR_SUCCESS for client in clients]
    for client in clients:
        client.disconnect()

    assert ended == [True] * 19 + [False]
    assert present == [False] + [True] * 19


def test_an_account_retains_messages_on_its_own_few_topics_only(any_broker: RunningBroker) -> None:
    """Retained responses to commands that there are not, with 65 KB each, are not kept; those to the four are."""
    seen: dict[str, bytes] = {}
    real = topics.topic(OTHER_DEVICE, "cmd/pause/response")
    with any_broker.client(OTHER_DEVICE) as stolen:
        for number in range(40):
            stolen.publish(real.replace("pause", f"{number}"), bytes(65_000), qos=0, retain=True)
    with any_broker.client(OTHER_DEVICE) as stolen:
        stolen.publish(real, b"kept", qos=1, retain=True).wait_for_publish(REPLY_S)
    with any_broker.client("server", seen.__setitem__) as server:
        server.subscribe(f"{topics.ROOT}/+/cmd/+/response", 1)
        wait_until(lambda: real in seen, "what is retained comes")

    assert seen == {real: b"kept"}


def test_nobody_sends_a_last_will_for_another_device(any_broker: RunningBroker) -> None:
    """A last will on the topic of another device is not delivered when its sender is gone; one on an own topic is."""
    heard: list[tuple[str, bytes]] = []
    topics_of_wills = [topics.topic(DEVICE, "status"), topics.SERVER_STATUS, topics.topic(OTHER_DEVICE, "status")]
    with any_broker.client("server", lambda *message: heard.append(message)) as server:
        confirmed: list[bool] = []
        server.on_subscribe = lambda *_: confirmed.append(True)
        server.subscribe(f"{topics.ROOT}/+/status", 1)
        wait_until(lambda: confirmed, "the server listens")
        for number, topic in enumerate(topics_of_wills):
            client = thief(any_broker, f"will-{number}")
            client.will_set(topic, b"gone", qos=1, retain=True)
            client.reconnect()
            wait_until(lambda client=client: client.loop(0.1) or client.is_connected(), "it is connected")
            client.socket().close()
        wait_until(lambda: heard, "the last will on the own topic comes")

    assert heard == [(topics_of_wills[-1], b"gone")]


def test_a_stranger_does_not_touch_the_session_of_another(any_broker: RunningBroker) -> None:
    """Whoever connects with somebody's client id and a wrong password changes neither connection nor last will."""
    heard: list[bytes] = []
    lost: list[bool] = []
    with (
        any_broker.client("server", lambda _, payload: heard.append(payload)) as server,
        any_broker.client(DEVICE) as device,
    ):
        device.on_disconnect = lambda *_: lost.append(True)
        confirmed: list[bool] = []
        server.on_subscribe = lambda *_: confirmed.append(True)
        server.subscribe(topics.topic(DEVICE, "reading"), 1)
        wait_until(lambda: confirmed, "the server listens")
        for clean in (True, False):
            stranger = thief(any_broker, device._client_id.decode(), clean=clean)
            stranger.username_pw_set(DEVICE, "wrong")
            stranger.will_set(topics.topic(DEVICE, "reading"), b"forged", qos=1)
            with contextlib.suppress(OSError):
                stranger.reconnect()
                wait_until(lambda client=stranger: client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS, "it is refused")
        device.publish(topics.topic(DEVICE, "reading"), b"own", qos=1).wait_for_publish(REPLY_S)
        wait_until(lambda: heard, "the device still speaks")
        assert lost == []

    assert heard == [b"own"]
