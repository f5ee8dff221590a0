"""Ingest's connection to a real broker: over TLS, with MQTT 5, and shared with other ingests."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import rooms
from brokers import DEVICE, RunningBroker, Tls, running_broker
from certificates import Authority
from patience import CHILD_S
from records import DAY_MS, reading, status
from rooms import Room
from services import RunningStore, wait_until

from broker import topics
from broker.messages import ServerStatus, Stored, decode, encode, join
from server.store.redis_store import RedisStore

COUNT = 400
NAMES = ["one", "two"]
SHARE = "team-4b1f0c72a9d84e6f"
ONLINE = "the server is online"


def ingest(folder: Path, broker: RunningBroker, store: RunningStore, name: str, **settings: object) -> Room:
    """Return an ingest that speaks MQTT 5, in a folder of its own."""
    (folder / name).mkdir()
    number = NAMES.index(name) + 1
    return rooms.ingest(folder / name, broker, store, number, mqtt_version="5", mqtt_client_id=name, **settings)


@contextmanager
def device(broker: RunningBroker) -> Iterator[tuple[mqtt.Client, list[bytes]]]:
    """Connect as a device, and collect what it is told about its records."""
    answers: list[bytes] = []
    with broker.client(DEVICE, lambda _, payload: answers.append(payload)) as client:
        client.subscribe(topics.topic(DEVICE, "stored"), 1)
        yield client, answers


def send(client: mqtt.Client, seqs: range, now: int) -> None:
    """Publish a reading for each number."""
    for seq in seqs:
        client.publish(topics.topic(DEVICE, "reading"), encode(reading(seq, now - seq)), qos=1)


def confirmed(answers: list[bytes]) -> set[int]:
    """Return the sequence numbers that the server has called stored."""
    spans = [span for answer in list(answers) for span in decode(answer, Stored).stored]
    return {seq for first, last in spans for seq in range(first, last + 1)}


def opened(running: RunningStore) -> RedisStore:
    """Return the store in a running server."""
    return RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)


def test_mqtt_5_keeps_what_comes_while_ingest_is_away(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """Readings and a status sent to a killed ingest wait in its session, and are stored once when it is back."""
    store = opened(redis_store)
    now = store.now()
    with ingest(tmp_path, broker, redis_store, "one") as five, device(broker) as (client, answers):
        five.says(ONLINE)
        send(client, range(10), now)
        wait_until(lambda: confirmed(answers) == set(range(10)), "the first readings are confirmed")
        five.kill()
        send(client, range(10, COUNT), now)
        wait_until(client.publish(topics.topic(DEVICE, "status"), encode(status()), qos=1).is_published, "it is sent")
        five.start()
        wait_until(lambda: confirmed(answers) == set(range(COUNT)), "all are confirmed")
        found = wait_until(lambda: (one := store.device(DEVICE)) and one.name and one, "the status is stored")
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(COUNT, 0)]
    assert (found.state, found.name) == ("online", status().name)


@pytest.mark.slow
def test_two_ingests_divide_the_work_and_one_finishes_what_the_other_left(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """While one of two is stopped its part waits, while it is killed too, and then every reading is there once."""
    store = opened(redis_store)
    now = store.now()
    with (
        ingest(tmp_path, broker, redis_store, "one", mqtt_share=SHARE) as one,
        ingest(tmp_path, broker, redis_store, "two", mqtt_share=SHARE) as two,
        device(broker) as (client, answers),
    ):
        one.says(ONLINE)
        two.says(ONLINE)
        one.process.send_signal(signal.SIGSTOP)
        send(client, range(COUNT), now)
        wait_until(lambda: len(confirmed(answers)) == COUNT // 2, "the other one has stored every second reading")
        one.kill()
        one.start()
        wait_until(lambda: confirmed(answers) == set(range(COUNT)), "all are confirmed")
        send(client, range(COUNT, 2 * COUNT), now)
        wait_until(lambda: confirmed(answers) == set(range(2 * COUNT)), "both work on")
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(2 * COUNT, 0)]
    assert sum(table.at.size for table in store.readings(DEVICE, now - DAY_MS, now + 1)) == 2 * COUNT


def test_the_server_stays_online_when_one_of_two_ingests_goes(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """The one that is left takes back the other's goodbye and its last will, so devices go on sending."""
    heard: list[str] = []

    def hear(_: str, payload: bytes) -> None:
        heard.append(decode(payload, ServerStatus).state)

    with (
        ingest(tmp_path, broker, redis_store, "one", mqtt_share=SHARE) as one,
        ingest(tmp_path, broker, redis_store, "two", mqtt_share=SHARE) as two,
        broker.client(DEVICE, hear) as client,
    ):
        one.says(ONLINE)
        two.says(ONLINE)
        client.subscribe(topics.SERVER_STATUS, 1)
        wait_until(lambda: heard == ["online"], "the server is online")
        assert one.stop() == 0
        wait_until(lambda: heard[1:] == ["offline", "online"], "its goodbye is taken back")
        one.start()
        wait_until(lambda: heard[3:] == ["online"], "it is back")
        one.kill()
        wait_until(lambda: heard[4:] == ["offline", "online"], "its last will is taken back")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"mqtt_version": "4"}, "mqtt_version is '4': set 3.1.1 or 5"),
        ({"mqtt_share": SHARE}, 'set mqtt_version = "5"'),
        ({"mqtt_version": "5", "mqtt_share": f"{SHARE}/b"}, "mqtt_share does not name a share"),
        ({"mqtt_version": "5", "mqtt_share": "ingest"}, "mqtt_share can be guessed"),
    ],
)
def test_versions_and_shares_that_cannot_work_end_with_code_2(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    """A version that does not exist, and a share without MQTT 5, with a level or easy to guess are told."""
    with Room(tmp_path, "server", "ingest", **settings) as room:
        assert room.process.wait(CHILD_S) == 2
        assert sentence in room.log
        assert "Traceback" not in room.log


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the broker's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"), "Authority of the tests")


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_readings_go_through_tls(redis_store: RunningStore, authority: Authority, version: str, tmp_path: Path) -> None:
    """What comes while ingest is away, more than one record of TLS, is stored whole as soon as it is back."""
    store = opened(redis_store)
    now = store.now()
    with running_broker(
        tmp_path / "broker", tls=Tls(authority.certificate, *authority.issue("broker"), None)
    ) as broker:
        trust = {"mqtt_ca_file": authority.certificate, "mqtt_version": version}
        with rooms.ingest(tmp_path, broker, redis_store, **trust) as room, broker.client(DEVICE) as client:
            room.says("the server is online")
            room.kill()
            for first in range(0, 3_000, 100):
                parts = [encode(reading(seq, now - seq)) for seq in range(first, first + 100)]
                sent = client.publish(topics.topic(DEVICE, "reading"), join(parts), qos=1)
            wait_until(sent.is_published, "the broker has all")
            room.start()
            wait_until(lambda: store.boots(DEVICE) and store.boots(DEVICE)[0].records == 3_000, "all are stored")


def test_a_broker_that_is_not_trusted_gets_nothing(
    redis_store: RunningStore, authority: Authority, tmp_path: Path
) -> None:
    """With another authority ingest says so, tries again, and does not log in."""
    other = Authority(tmp_path / "other", "Another authority")
    with (
        running_broker(tmp_path / "broker", tls=Tls(authority.certificate, *authority.issue("broker"), None)) as broker,
        rooms.ingest(tmp_path, broker, redis_store, mqtt_ca_file=other.certificate) as room,
    ):
        room.says("certificate verify failed")
        assert "connected" not in room.log
        assert "Traceback" not in room.log
        assert room.stop() == 0


@pytest.mark.slow
def test_two_ingests_with_one_client_id_say_so_once(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """They throw each other out for ever; the log has the reason, not each time, and says when one is alone again."""
    reason = "with the same account or mqtt_client_id may run"
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    told: list[bytes] = []
    with (
        broker.client("server", lambda _, payload: told.append(payload)) as listener,
        rooms.ingest(folders[0], broker, redis_store) as first,
    ):
        listener.subscribe(topics.SERVER_STATUS, 1)
        with rooms.ingest(folders[1], broker, redis_store) as second:
            first.says(reason)
            second.says(reason)
            lines, before = len(first.log.splitlines()), len(told)
            wait_until(lambda: len(told) >= before + 4, "they throw each other out again", 60)
            assert len(first.log.splitlines()) == lines
        connected = first.log.count("connected to")
        first.says("connected to", connected + 1)
    assert first.log.count(reason) == 1
