"""A stolen device account floods ingest: the others are served, memory and log stay small, its device stays usable."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import rooms
from brokers import DEVICE, OTHER_DEVICE, RunningBroker
from records import DAY_MS, reading, status
from rooms import Room
from services import RunningStore, wait_until

from broker import topics
from broker.messages import Stored, decode, encode, join
from server.store.redis_store import RedisStore

pytestmark = pytest.mark.slow


@pytest.fixture
def ingest(tmp_path: Path, broker: RunningBroker, redis_store: RunningStore) -> Iterator[Room]:
    """Run ingest between an empty store and a fresh broker."""
    with rooms.ingest(tmp_path, broker, redis_store) as room:
        room.says("the server is online")
        yield room


@pytest.fixture
def thief(broker: RunningBroker) -> Iterator[mqtt.Client]:
    """Return a client with the stolen account."""
    with broker.client(OTHER_DEVICE) as client:
        yield client


def assert_served(broker: RunningBroker, at: int) -> None:
    """Send a reading of another device and wait until it is confirmed."""
    answers: list[bytes] = []
    with broker.client(DEVICE, lambda _, payload: answers.append(payload)) as client:
        client.subscribe(topics.topic(DEVICE, "stored"), 1)
        client.publish(topics.topic(DEVICE, "reading"), encode(reading(0, at)), qos=1)
        wait_until(lambda: any(decode(payload, Stored).stored for payload in list(answers)), "it is confirmed", 60)


def now_ms(store: RunningStore) -> int:
    """Return the store's clock in Unix ms."""
    return int(store.client.time()[0]) * 1000


def resident_mb(room: Room) -> float:
    """Return the memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{room.process.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def test_endless_malformed_messages_leave_few_lines(
    broker: RunningBroker, redis_store: RunningStore, ingest: Room, thief: mqtt.Client
) -> None:
    """Of 10,000 the log has the first hundred and a few more, another device is served, and all are counted."""
    count = 10_000
    for _ in range(count):
        last = thief.publish(topics.topic(OTHER_DEVICE, "reading"), b"{}", qos=1)
    assert_served(broker, now_ms(redis_store))
    wait_until(last.is_published, "the broker has taken all", 120)
    assert_served(broker, now_ms(redis_store))
    lines = ingest.log.splitlines()
    assert 100 <= len([line for line in lines if "dropped number" in line]) < 130
    assert 1 <= len([line for line in lines if "is left to it" in line]) < 10


def test_a_flood_while_the_store_stands_still_takes_little_memory(
    broker: RunningBroker, redis_store: RunningStore, ingest: Room, thief: mqtt.Client
) -> None:
    """Of messages with and without acknowledgement ingest holds some, undecoded, and serves others after."""
    now = now_ms(redis_store)
    payload = join([encode(reading(seq, now, scores={"A": 1, "B": 0})) for seq in range(100)])
    assert_served(broker, now)
    before_mb = resident_mb(ingest)
    redis_store.process.send_signal(signal.SIGSTOP)
    try:
        for number in range(4_000):
            last = thief.publish(topics.topic(OTHER_DEVICE, "reading"), payload, qos=number % 2)
        wait_until(last.is_published, "the broker has taken all", 120)
        time.sleep(1)  # what was sent without acknowledgement may still be on its way
        after_mb = resident_mb(ingest)
    finally:
        redis_store.process.send_signal(signal.SIGCONT)
    assert_served(broker, now)
    assert after_mb - before_mb < 120


def test_endless_hellos_keep_nobody_waiting_and_the_last_one_counts(
    broker: RunningBroker, redis_store: RunningStore, ingest: Room, thief: mqtt.Client
) -> None:
    """Of 3,000 statuses, each of a new boot, some are kept; another device is served; the newest is what is known."""
    for number in range(3_000):
        hello = status(boot=f"{number:016x}", name=f"Hall {number}", labels=("ANG", "HAP"), connection=number)
        thief.publish(topics.topic(OTHER_DEVICE, "status"), encode(hello), qos=1, retain=True)
    assert_served(broker, now_ms(redis_store))
    store = RedisStore(redis_store.url, 90 * DAY_MS, 730 * DAY_MS)
    wait_until(lambda: (seen := store.device(OTHER_DEVICE)) and seen.name == "Hall 2999", "the last is known", 60)
    events = redis_store.client.xlen(f"mw:{{{OTHER_DEVICE}}}:events")
    store.close()
    assert events < 200
