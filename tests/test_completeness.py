"""What a real outbox, session, ingest and store make of a bad day, as REST tells it: each gap with its cause."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker
from clients import Client
from records import health, heard
from rooms import ROOT, Room, ingest
from services import RunningStore, wait_until
from sessions import STATUS, running_session

from broker.messages import Command
from device.delivery.outbox import Limits, Outbox
from device.delivery.row import Row
from device.delivery.timestamps import Stamp, Timestamps
from device.system.identity import Owner
from server.query.time_range import rfc3339

pytestmark = pytest.mark.slow


LIMIT = 12
TICK_MS = 100
"""What is a minute for a device is a tenth of a second here."""
URL = f"/api/v1/devices/{DEVICE}"


@pytest.fixture
def client(redis_store: RunningStore) -> Iterator[Client]:
    """Return a client of REST over the store."""
    with closing(Client(redis_store)) as client:
        yield client


class Listener:
    """Puts a record of each tick into an outbox, as the recorder does of each minute."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.seq = 0
        self.at = time.time_ns() // 1_000_000

    def hear(self, ticks: int) -> None:
        """Hear for some ticks."""
        for _ in range(ticks):
            self.at += TICK_MS
            time.sleep(max(0.0, self.at / 1000 - time.time()))
            record = heard(self.seq, self.at, boot=STATUS.boot, span_ms=TICK_MS)
            self.outbox.put(Row.of(record, Stamp(self.at, synced=True, held_ms=None, kernel_boot="a")))
            self.seq += 1

    def sent(self) -> None:
        """Wait until everything is confirmed."""
        wait_until(lambda: self.outbox.waiting()[0] == 0, "the outbox is empty")


def test_what_a_full_outbox_dropped_is_told_to_the_record(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path, client: Client
) -> None:
    """A device is cut off for longer than its outbox keeps: exactly what it dropped is missing, for that reason."""
    limits = Limits(rows=LIMIT, payload_bytes=10**6, age_s=3600)
    outbox = Outbox(tmp_path / "outbox" / "o.sqlite", Owner(DEVICE, frozenset()), limits, Timestamps(0))
    listener = Listener(outbox)
    try:
        with ingest(tmp_path, broker, redis_store):
            with running_session(broker, outbox):
                listener.hear(10)
                listener.sent()
            since = listener.at
            listener.hear(LIMIT + 20)
            assert outbox.dropped == 20
            with running_session(broker, outbox) as session:
                listener.sent()  # else the next record drops one that is sent and not yet confirmed
                listener.hear(5)
                listener.sent()
                session.publish_health(health(boot=STATUS.boot, dropped=20, dropped_spans=outbox.dropped_spans))
                wait_until(lambda: (known := client.store.device(DEVICE)) and known.health, "the server has the health")
                found = client.get(f"{URL}/completeness?start={(since - 5 * TICK_MS) / 1000}&end={listener.at / 1000}")
    finally:
        outbox.close()

    assert found["records"] == {"expected": 47, "stored": 27, "missing": 20, "dropped": 20, "more_boots": False}
    dropped = [gap for gap in found["gaps"] if gap["cause"] == "dropped"]
    assert [gap["records"] for gap in dropped] == [20]
    between = 19 * TICK_MS / 1000  # the first and the last; what the first one tells of is less than a second
    assert found["causes"] == {"dropped": {"gaps": 1, "seconds": pytest.approx(between, abs=0.001)}}


def test_a_pause_and_a_death_are_told_as_such(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path, client: Client
) -> None:
    """A real device is paused, goes on, and is killed: one gap is paused, the last one offline."""
    device = Room(
        tmp_path,
        "device",
        "run",
        clips=ROOT / "samples",
        loop="true",
        identity=DEVICE,
        mqtt_url=broker.url,
        mqtt_password=ACCOUNTS[DEVICE],
        state_dir=tmp_path / "device",
        clock_wait_s=0,
    )

    def until(state: str) -> int:
        wait_until(lambda: (found := client.store.device(DEVICE)) and found.state == state, f"it is {state}")
        return client.store.now()

    with ingest(tmp_path, broker, redis_store), device:
        until("online")
        client.store.commands.add(DEVICE, "pause", Command(transaction="1"))
        paused_at = until("paused")
        client.store.commands.add(DEVICE, "resume", Command(transaction="2"))
        until("online")
        device.kill()
        offline_at = until("offline")
        wait_until(lambda: client.store.now() > offline_at + 1000, "a second has passed")
        found = client.get(f"{URL}/completeness")

    paused = next(gap for gap in found["gaps"] if gap["cause"] == "paused")
    assert paused["start"] <= rfc3339(paused_at) < paused["end"]
    last = found["gaps"][-1]
    assert (last["cause"], last["end"]) == ("offline", found["end"])
    assert last["start"] <= rfc3339(offline_at)
    assert set(found["causes"]) <= {"paused", "offline", "not_yet"}
    assert found["records"]["missing"] == 0
