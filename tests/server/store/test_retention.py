"""Nothing that was accepted expires by the store's clock; a sweep deletes what is past the retention, and only that."""

import struct
from typing import Any

import pytest
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore
from stores import RETENTION_MS, ROLLUP_RETENTION_MS, write

from broker.messages import Command
from server.store import keys, retention
from server.store.limits import PAGE_NUMBERS, PAGES_PER_BOOT
from server.store.redis_store import RedisStore
from server.store.retention import Retention, Step
from server.store.rollups import DAY, HOUR, MINUTE

KEEP_MS, KEEP_ROLLUPS_MS = 20 * DAY_MS, 40 * DAY_MS
AGES_MS = [0, 1, DAY_MS, KEEP_MS - 1, *(KEEP_MS + n * DAY_MS // 4 for n in range(8)), 2 * KEEP_MS - 1]
AGES_MS += [KEEP_ROLLUPS_MS + n * DAY_MS // 2 for n in range(8)]
EXPIRE = {"mw:live", "mw:ingest", "mw:ingest:", f"mw:{{{DEVICE}}}:orders"}
"""Presence, news and commands that wait for minutes: what they tell is told again, or over."""


def swept(store: RedisStore, until_ms: int | None = None) -> int:
    """Sweep all devices, and return how many days of records were deleted."""
    own = Retention(store.execute_all, KEEP_MS, KEEP_ROLLUPS_MS)
    step, days = Step(0, "", ""), 0
    while step.after is not None:
        step = own.sweep(step.after, store.now() if until_ms is None else until_ms)
        assert not step.refusal
        days += step.days
    return days


def kept(client: Any) -> set[str]:
    """Return the keys that hold records, rollups or sequence numbers."""
    names = {key.decode().partition("}:")[2] for key in client.keys("mw:{*")}
    return {name for name in names if ":" in name}


def write_old(store: RedisStore) -> int:
    """Write readings and heard records of all ages, each in its page of sequence numbers; return the store's clock."""
    now = store.now()
    seqs = range(0, len(AGES_MS) * PAGE_NUMBERS, PAGE_NUMBERS)
    records = [reading(seq, now - age) for seq, age in zip(seqs, AGES_MS, strict=True)]
    records += [heard(seq + 1, now - age) for seq, age in zip(seqs, AGES_MS, strict=True)]
    assert set(write(store, status(), *records)) == {"stored"}
    store.write([(DEVICE, status(state="offline"))])  # so that all is in the rollups
    return now


def test_nothing_that_was_accepted_expires(store: RedisStore, any_store: RunningStore) -> None:
    """Redis has a time to live for no key of records, rollups, sequence numbers, boots, days, events or erasures."""
    now = store.now()
    records = [
        message for seq in range(0, 200, 2) for message in (reading(seq, now - seq * DAY_MS // 4), heard(seq + 1, now))
    ]
    write(store, status(), *records, reading(300, now, model="other"), status(state="offline"), status(connection=2))
    store.commands.add(DEVICE, "pause", Command(transaction="ab"))
    store.commands.note_taken(store.commands.due())
    store.live_stream.add([(DEVICE, reading(0, now))])
    store.heartbeat(15)
    store.tokens.add("one", "viewer")
    store.write([("ba9876543210", reading(0, now))])
    store.erase("ba9876543210")
    store.retention.begin(now)
    names = {key.decode() for key in any_store.client.keys("*")}
    assert {name for name in names if any_store.client.pttl(name) != -1} <= EXPIRE
    assert names > {"mw:devices", "mw:retention", "mw:written", "mw:access", "mw:jobs", "mw:erased", "mw:layout"}
    assert len(kept(any_store.client)) > 200


def test_a_sweep_deletes_exactly_the_days_that_are_past_the_retention(store: RedisStore) -> None:
    """Records go by their retention, rollups, boots and events by theirs, whole days (UTC) at a time."""
    now = write_old(store)
    records_from, rollups_from = ((now - keep) // DAY_MS for keep in (KEEP_MS, KEEP_ROLLUPS_MS))
    by_day = {age: (now - age) // DAY_MS for age in AGES_MS}
    swept(store)
    readings = sorted(at for table in store.readings(DEVICE, 0, now + 1) for at in table.at.tolist())
    assert readings == sorted(now - age for age, day in by_day.items() if day >= records_from)
    assert store.heard(DEVICE, 0, now).end.tolist() == readings
    for level in (MINUTE, HOUR, DAY):
        count = sum(int(table.count.sum()) for table in store.rollups(DEVICE, level, 0, now + 1))
        assert count == sum(day >= rollups_from for day in by_day.values()), level
    (found,), _ = store.sequences(DEVICE, 0, now + 1)
    pages = sum(day >= records_from - 1 for day in by_day.values())
    assert len(store.execute("ZRANGE", keys.pages(DEVICE), 0, -1)) == pages
    assert (found.boot.records, found.known_from) == (
        2 * len(AGES_MS),
        0 if pages == len(AGES_MS) else found.known_from,
    )
    assert write(store, *(reading(0, now - age) for age in AGES_MS[:1])) == ["repeat"]
    assert swept(store) == 0


def test_what_is_past_the_retention_leaves_no_key(store: RedisStore, any_store: RunningStore) -> None:
    """A device that is off for good keeps neither readings, nor rollups, nor boots, events or its latest reading."""
    old = store.now() - KEEP_ROLLUPS_MS - 2 * DAY_MS
    write(store, status(), reading(0, old), reading(1, old + 60_000, boot=OTHER_BOOT), heard(2, old))
    store.execute("DEL", keys.events(DEVICE))
    store.execute("XADD", keys.events(DEVICE), f"{old}-0", "kind", "online", "model", "m")
    assert store.device(DEVICE).latest  # type: ignore[union-attr]
    assert swept(store) == 1
    left = {name.decode().partition("}")[2] for name in any_store.client.keys("mw:{*")}
    assert left == {"", ":schemas", ":events"}
    assert any_store.client.xlen(keys.events(DEVICE)) == 0
    device = store.device(DEVICE)
    assert device is not None
    assert (device.latest, store.boots(DEVICE)) == (None, [])


def test_a_reading_that_waits_for_its_rollups_goes_with_its_day(store: RedisStore) -> None:
    """Of an idle device no single reading stays beside the rollups."""
    now = store.now()
    write(store, reading(0, now - KEEP_MS - 2 * DAY_MS))
    assert store.execute("LLEN", keys.open_readings(DEVICE)) == 1
    swept(store)
    assert store.execute("LLEN", keys.open_readings(DEVICE)) == 0
    assert [int(table.count.sum()) for table in store.rollups(DEVICE, DAY, 0, now)] == [1]


def test_a_sweep_believes_no_clock_beyond_what_it_is_told(store: RedisStore, any_store: RunningStore) -> None:
    """Until an earlier time it deletes less, whatever the store's clock shows; until a later one not more."""
    now = write_old(store)
    before = kept(any_store.client)
    assert swept(store, until_ms=now - 100 * DAY_MS) == 0
    assert kept(any_store.client) == before
    assert swept(store, until_ms=now + 1000 * DAY_MS) > 0
    assert sum(len(table.at) for table in store.readings(DEVICE, 0, now + 1)) > 0


def test_a_sweep_refuses_when_the_clocks_of_store_and_ingest_differ(
    store: RedisStore, any_store: RunningStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two are compared at the moment of the deletion; nothing goes, and the reason is told."""
    now = write_old(store)
    before = kept(any_store.client)
    own = Retention(store.execute_all, KEEP_MS, KEEP_ROLLUPS_MS)
    for wrong_ms in (-90_000, 100 * DAY_MS):
        monkeypatch.setattr(retention.time, "time_ns", lambda wrong_ms=wrong_ms: (now - wrong_ms) * 1_000_000)
        step = own.sweep("", now)
        assert "off that of ingest" in step.refusal
        assert step.after == ""
    assert kept(any_store.client) == before


def test_a_sweep_goes_in_steps_of_bounded_size(store: RedisStore) -> None:
    """Many devices, and many days of one, take several calls; a device with broken keys holds up no other."""
    now = store.now()
    devices = [f"{number:012x}" for number in range(120)]
    store.write([(device, reading(0, now - KEEP_MS - 3 * DAY_MS)) for device in devices])
    store.write([(devices[7], reading(day, now - KEEP_MS - day * DAY_MS)) for day in range(4, 60)])
    store.execute("DEL", f"{keys.base(devices[9])}:record_days")
    store.execute("SET", f"{keys.base(devices[9])}:record_days", "no zset")
    own = Retention(store.execute_all, KEEP_MS, KEEP_ROLLUPS_MS)
    steps = [own.sweep("", now)]
    while steps[-1].after is not None:
        steps.append(own.sweep(steps[-1].after, now))
    assert sum(step.days for step in steps) == 119 + 56
    assert max(step.days for step in steps) <= 49 + 32
    assert len(steps) >= 5


@pytest.mark.parametrize("age_ms", [RETENTION_MS + 2 * DAY_MS, ROLLUP_RETENTION_MS + 2 * DAY_MS])
def test_nothing_past_the_retention_is_read_before_it_is_swept(
    store: RedisStore, any_store: RunningStore, age_ms: int
) -> None:
    """Readings, heard records, the latest reading and rollups are hidden by the store's clock alone."""
    now = store.now()
    longer = RedisStore(any_store.url, age_ms + 10 * DAY_MS, age_ms + 10 * DAY_MS)
    write(longer, status(), reading(0, now - age_ms), heard(1, now - age_ms))
    assert longer.device(DEVICE).latest is not None  # type: ignore[union-attr]
    assert len(longer.heard(DEVICE, 0, now).end) == 1
    device = store.device(DEVICE)
    assert device is not None
    assert device.latest is None
    assert [len(table.at) for table in store.readings(DEVICE, 0, now)] == []
    assert len(store.heard(DEVICE, 0, now).end) == 0
    counts = [sum(int(t.count.sum()) for t in store.rollups(DEVICE, level, 0, now)) for level in (MINUTE, HOUR, DAY)]
    assert counts == ([0] * 3 if age_ms > ROLLUP_RETENTION_MS else [1] * 3)
    assert (store.first_day(DEVICE) is None) == (age_ms > ROLLUP_RETENTION_MS)
    longer.close()


def make_old_version(store: RedisStore, client: Any) -> None:
    """Let keys expire, and take away what tells a sweep where to look, as the version before left the store."""
    for name in kept(client) | {"open"}:
        client.pexpire(f"{keys.base(DEVICE)}:{name}", 5 * DAY_MS)
    for name in ("record_days", "page_days"):
        client.delete(f"{keys.base(DEVICE)}:{name}")
    client.delete(keys.RETENTION)


def test_keys_of_an_older_version_stop_expiring_and_are_swept(store: RedisStore, any_store: RunningStore) -> None:
    """Once ingest has gone through the devices no key has a time to live, and a sweep deletes what it would have."""
    now = write_old(store)
    write(store, reading(5, now))  # one waits for its rollups
    make_old_version(store, any_store.client)
    before = kept(any_store.client)
    assert store.retention.keep()
    assert {
        name for name in kept(any_store.client) | {"open"} if any_store.client.pttl(f"{keys.base(DEVICE)}:{name}") != -1
    } == set()
    assert kept(any_store.client) == before
    swept(store)
    from_ = (now - KEEP_MS) // DAY_MS * DAY_MS
    assert not any(name.startswith("r:") and int(name[2:]) * 3_600_000 < from_ for name in kept(any_store.client))
    assert write(store, reading(0, now)) == ["repeat"]


def test_a_boot_of_layout_2_is_divided_before_it_could_expire(store: RedisStore, any_store: RunningStore) -> None:
    """The one bitmap that its numbers have becomes pages, of which none expires."""
    now = store.now()
    facts = struct.pack("<IddIIIdd", 1, now, now, 2, 0, PAGE_NUMBERS, now, now)
    store.execute("ZADD", keys.DEVICES, 0, DEVICE)
    store.execute("HSET", keys.base(DEVICE), "boots", 1, "first_seen", now)
    store.execute("HSET", keys.boots(DEVICE), bytes.fromhex(BOOT), facts)
    for number in (0, PAGE_NUMBERS):
        store.execute("SETBIT", keys.seen(DEVICE, 1, None), number, 1)
    store.execute("PEXPIRE", keys.seen(DEVICE, 1, None), DAY_MS)
    assert store.retention.keep()
    assert kept(any_store.client) == {"seen:1:0", "seen:1:1"}
    assert [any_store.client.pttl(keys.seen(DEVICE, 1, page)) for page in (0, 1)] == [-1, -1]
    assert store.execute("ZSCORE", keys.page_days(DEVICE), PAGES_PER_BOOT + 1)
    assert write(store, reading(0, now), reading(1, now)) == ["repeat", "stored"]


def test_a_restart_goes_on_where_the_keys_still_expire(store: RedisStore, any_store: RunningStore) -> None:
    """How far it got stands in the store; a device with broken keys holds up no other."""
    now = store.now()
    devices = [f"{number:012x}" for number in range(25)]
    store.write([(device, reading(0, now)) for device in devices])
    hour = now // 3_600_000
    for device in devices:
        any_store.client.pexpire(keys.readings(device, hour), DAY_MS)
    any_store.client.delete(keys.days(devices[3]))
    any_store.client.set(keys.days(devices[3]), "no zset")
    left = []
    for _ in range(3):
        is_done = Retention(store.execute_all, KEEP_MS, KEEP_ROLLUPS_MS).keep()
        left.append(sum(any_store.client.pttl(keys.readings(device, hour)) != -1 for device in devices))
    assert (left, is_done) == ([16, 6, 1], True)
    any_store.client.pexpire(keys.readings(devices[0], hour), DAY_MS)
    assert store.retention.keep()
    assert any_store.client.pttl(keys.readings(devices[0], hour)) > 0, "it is done once"
