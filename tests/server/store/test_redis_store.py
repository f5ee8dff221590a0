"""The store keeps each record once, whatever order, repetition or time it comes with; over Redis and over Valkey."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore, running_store, wait_until

from broker.messages import Generation, Heard, Reading, encode
from server.errors import StoreAwayError, UnusableError
from server.query import series
from server.query.series import facts, grid, overlapping, spans, summary
from server.query.time_range import Range
from server.store import keys, rollups
from server.store.redis_store import RedisStore
from server.store.types import Outcome

OTHER_DEVICE = "ba9876543210"
RETENTION_MS = 90 * DAY_MS


def opened(running: RunningStore) -> RedisStore:
    """Return the store in a running server, ready to be written."""
    store = RedisStore(running.url, RETENTION_MS, 730 * DAY_MS)
    store.prepare()
    return store


@pytest.fixture
def store(any_store: RunningStore) -> RedisStore:
    """Return an empty store, ready to be written."""
    return opened(any_store)


def kinds(store: RedisStore, *records: Any) -> list[str]:
    """Write records of one device and return what became of each."""
    outcomes = store.write([(DEVICE, record) for record in records])
    return [outcome.kind for outcome in outcomes if outcome]


def next_millisecond(store: RedisStore) -> None:
    """Wait until what comes now has come later than what came before."""
    since = store.now()
    wait_until(lambda: store.now() > since, "a millisecond has passed")


def test_a_repeat_is_answered_as_such_and_changes_nothing(store: RedisStore) -> None:
    """A reading that comes again leaves counts, chunks and rollups as they are."""
    now = store.now()
    assert kinds(store, reading(0, now), reading(0, now)) == ["stored", "repeat"]
    before = (
        store.device(DEVICE),
        store.boots(DEVICE),
        facts(summary(store, DEVICE, Range(0, now + 1), raw_is_kept=True)),
    )
    assert kinds(store, reading(0, now)) == ["repeat"]
    after = (
        store.device(DEVICE),
        store.boots(DEVICE),
        facts(summary(store, DEVICE, Range(0, now + 1), raw_is_kept=True)),
    )
    assert before == after
    assert after[0] is not None
    assert after[0].readings == 1


def test_readings_of_the_same_millisecond_are_all_kept(store: RedisStore) -> None:
    """Neither two sequence numbers nor two boots in one millisecond overwrite each other."""
    now = store.now()
    assert kinds(store, reading(0, now), reading(1, now), reading(0, now, boot=OTHER_BOOT)) == ["stored"] * 3
    (table,) = store.readings(DEVICE, now, now + 1)
    assert table.at.tolist() == [now] * 3


def test_what_is_written_is_read_back(store: RedisStore) -> None:
    """Scores come back to a ten-thousandth, the level to half a decibel, time and state exactly."""
    now = store.now()
    kinds(store, reading(7, now - 12_345, state="uncertain", level_dbfs=-31.6, scores={"B": 0.1234, "A": 0.8766}))
    (table,) = store.readings(DEVICE, now - 20_000, now)
    assert table.schema.labels == ("A", "B")
    assert (table.at[0], bool(table.speech[0]), table.level_dbfs[0]) == (now - 12_345, False, -31.5)
    assert table.scores[0].tolist() == [0.8766, 0.1234]


def test_1970_is_expired_and_next_week_is_refused(store: RedisStore) -> None:
    """A reading older than the retention is `expired`, one more than five minutes ahead is refused with the reason."""
    now = store.now()
    assert kinds(store, reading(0, 0), reading(1, now - RETENTION_MS - 1000)) == ["expired", "expired"]
    assert kinds(store, reading(2, now + 290_000)) == ["stored"]
    (outcome,) = store.write([(DEVICE, reading(3, now + 7 * DAY_MS))])
    assert outcome is not None
    assert outcome.kind == "refused"
    assert "604800 s ahead" in outcome.reason
    assert [boot.records for boot in store.boots(DEVICE)] == [1]


def test_missing_numbers_are_holes_below_the_highest(store: RedisStore) -> None:
    """A boot's missing records are the numbers that never came, until they do."""
    now = store.now()
    kinds(store, reading(5, now), reading(2, now), heard(3, now))
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(3, 3)]
    kinds(store, reading(0, now), reading(1, now), reading(4, now))
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(6, 0)]


def test_two_devices_with_one_id_are_stored_apart(store: RedisStore) -> None:
    """Two boots that send in turns for the same time keep all their readings, and the overlap is seen."""
    now = store.now()
    for seq in range(10):
        for boot in (BOOT, OTHER_BOOT):
            kinds(store, reading(seq, now - 1000 * seq - 500 * (boot == OTHER_BOOT), boot=boot))
            next_millisecond(store)
    boots = store.boots(DEVICE)
    assert [(boot.boot, boot.records, boot.missing) for boot in boots] == [(OTHER_BOOT, 10, 0), (BOOT, 10, 0)]
    assert overlapping(boots)
    assert not overlapping(boots[:1])


def test_a_clock_that_steps_back_is_no_second_device(store: RedisStore) -> None:
    """Readings for the same time that come one boot after the other are those of one device that was restarted."""
    now = store.now()
    for boot in (BOOT, OTHER_BOOT):
        kinds(store, *(reading(seq, now - 1000 * seq, boot=boot) for seq in range(10)))
        next_millisecond(store)
    assert len(store.boots(DEVICE)) == 2
    assert not overlapping(store.boots(DEVICE))


def test_erasing_leaves_only_the_generation(any_store: RunningStore) -> None:
    """After an erasure no key of the device but its marker is left, old records are `erased`, new ones are taken."""
    store = opened(any_store)
    now = store.now()
    kinds(store, status(), *(reading(seq, now - seq * 3_600_000) for seq in range(100)), heard(100, now))
    receipt = store.erase(DEVICE)
    assert (receipt.generation, receipt.records) == (1, 101)
    keys = set(any_store.client.keys("*"))
    assert keys == {b"mw:{0123456789ab}", b"mw:devices", b"mw:jobs", b"mw:layout"}
    assert set(any_store.client.hgetall("mw:{0123456789ab}")) == {b"gen", b"erased_at"}
    assert store.device(DEVICE) is None
    assert store.devices("", 10) == []
    assert kinds(store, reading(0, now), reading(101, now, gen=1)) == ["erased", "stored"]
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(1, 0)]
    assert [device.generation for device in store.devices("", 10)] == [1]
    assert [(due.id, due.device, due.name, due.payload) for due in store.commands.due()] == [
        (receipt.command, DEVICE, "erase", encode(Generation(gen=1)))
    ]


def test_gaps_after_an_erasure_are_counted(store: RedisStore) -> None:
    """The boot that lived through an erasure misses nothing before its first number; a later one begins at 0."""
    now = store.now()
    kinds(store, reading(0, now - 9000))
    store.erase(DEVICE)
    kinds(store, reading(7, now - 5000, gen=1), reading(9, now - 4000, gen=1))
    kinds(store, reading(3, now, gen=1, boot=OTHER_BOOT))
    boots = store.boots(DEVICE)
    assert [(boot.boot, boot.records, boot.missing) for boot in boots] == [(BOOT, 2, 1), (OTHER_BOOT, 1, 3)]


def test_an_erased_device_is_not_listed_for_saying_hello(store: RedisStore) -> None:
    """A status lists a new device, but not one whose data was erased."""
    kinds(store, status())
    assert store.device(DEVICE) is not None
    store.erase(DEVICE)
    kinds(store, status(connection=2))
    assert store.device(DEVICE) is None


def test_an_older_last_will_does_not_override_a_newer_connection(store: RedisStore) -> None:
    """The will of an earlier connection or of an earlier boot arrives late and is stale."""
    assert kinds(store, status(connection=1), status(connection=2)) == ["stored", "stored"]
    assert kinds(store, status(connection=1, state="offline")) == ["stale"]
    assert kinds(store, status(boot=OTHER_BOOT, connection=1)) == ["stored"]
    assert kinds(store, status(connection=2, state="offline")) == ["stale"]
    device = store.device(DEVICE)
    assert device is not None
    assert device.state == "online"
    assert kinds(store, status(boot=OTHER_BOOT, connection=1, state="offline")) == ["stored"]
    events = store.events(DEVICE, 0, store.now() + 1)
    assert [event.state for event in events] == ["online", "online", "offline"]


def test_retention_is_on_every_key_that_grows(any_store: RunningStore) -> None:
    """Chunks, rollups and bitmaps expire by themselves; what is left is bounded per device."""
    store = opened(any_store)
    kinds(store, reading(0, store.now()), heard(1, store.now()), status())
    lasting = {key.rpartition(b":")[2] for key in any_store.client.keys("mw:{*") if any_store.client.ttl(key) == -1}
    assert lasting == {b"{0123456789ab}", b"boots", b"schemas", b"days", b"events"}


def test_silence_and_absence_are_told(store: RedisStore) -> None:
    """Silent minutes join to one span, and the time after an `offline` is one of its own."""
    now = store.now()
    kinds(store, *(heard(seq, now - 600_000 + 60_000 * seq) for seq in range(3)))
    kinds(store, heard(3, now - 420_000, silent=10, speech=50), status(), status(state="offline"))
    asked = Range(now - 3_600_000, now + 60_000)
    next_millisecond(store)
    found = spans(store, DEVICE, asked, store.now())
    assert found[-1].kind == "offline"
    assert [(span.kind, span.end - span.start) for span in found if span.kind == "silence"] == [("silence", 180_000)]


def test_another_model_with_other_labels_is_another_schema(store: RedisStore) -> None:
    """Means over readings of two models take each label's own readings only."""
    now = store.now()
    kinds(store, reading(0, now, scores={"ANG": 1.0}), reading(1, now, scores={"ANG": 0.5, "SAD": 0.5}, model="other"))
    for step_ms in (1000, 60_000, 3_600_000, DAY_MS):
        means = grid(store, DEVICE, Range(now - 1000, now + 1), step_ms).means
        assert {label: mean.tolist() for label, mean in means.items()} == {"ANG": [0.75], "SAD": [0.5]}


@pytest.mark.parametrize("appendonly", ["no", "yes"])
def test_a_store_that_would_lose_data_is_refused(tmp_path: Path, appendonly: str) -> None:
    """Without an append-only file, or with one that is not synced, `prepare` says so and what to set."""
    with (
        running_store(tmp_path, extra=["--appendonly", appendonly, "--appendfsync", "no"]) as running,
        pytest.raises(UnusableError, match=f"appendonly {appendonly} and appendfsync no; set appendonly yes"),
    ):
        opened(running)


def test_a_store_that_is_away_is_named_without_its_password() -> None:
    """The error of a store that does not answer has its address, and never its password."""
    with pytest.raises(StoreAwayError, match=r"redis://127\.0\.0\.1:1/0") as caught:
        RedisStore("redis://user:secret@127.0.0.1:1/0", DAY_MS, DAY_MS).now()
    assert "secret" not in str(caught.value)


def test_a_url_that_is_none_is_refused() -> None:
    """A store URL of another kind is refused with the right ones."""
    with pytest.raises(UnusableError, match="'http://x' is no address of a store"):
        RedisStore("http://x", DAY_MS, DAY_MS)


_RECORD = st.tuples(
    st.sampled_from([BOOT, OTHER_BOOT]),
    st.integers(0, 99),
    st.sampled_from(["now", "late", "1970", "next week"]),
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
)


def _as_record(now: int, fields: Any) -> Reading | Heard:
    boot, seq, when, score, speech, is_heard = fields
    at = {
        "now": now - seq * 700,
        "late": now - 20 * DAY_MS - seq * 977,
        "1970": seq,
        "next week": now + 7 * DAY_MS,
    }[when]
    if is_heard:
        return heard(seq, at, boot=boot)
    scores = {"ANG": score / 10_000, "NEU": (10_000 - score) / 10_000}
    return reading(seq, at, boot=boot, scores=scores, state="speech" if speech else "uncertain")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(_RECORD, min_size=1, max_size=90), min_size=1, max_size=4))
def test_the_store_agrees_with_a_plain_model(any_store: RunningStore, batches: list[list[Any]]) -> None:
    """Records in any order, repeated, late, from 1970 or next week: each identity counts once, in every view."""
    any_store.client.flushall()
    store = opened(any_store)
    now = store.now()
    kept: dict[tuple[str, int], Reading | Heard] = {}
    for batch in batches:
        records = [_as_record(now, fields) for fields in batch]
        for record, kind in zip(records, kinds(store, *records), strict=True):
            identity = (record.boot, record.seq)
            if record.at < now - DAY_MS * 30:
                assert kind == "expired"
            elif record.at > now + DAY_MS:
                assert kind == "refused"
            else:
                assert kind == ("repeat" if identity in kept else "stored")
                kept.setdefault(identity, record)
    expected = [record for record in kept.values() if isinstance(record, Reading)]
    everything = Range(now - 30 * DAY_MS, now + 1)
    stored = [
        (int(at), bool(speech), *scores)
        for table in store.readings(DEVICE, *everything)
        for at, speech, scores in zip(table.at, table.speech, table.scores.tolist(), strict=True)
    ]
    assert sorted(stored) == sorted((r.at, r.state == "speech", r.scores["ANG"], r.scores["NEU"]) for r in expected)
    for boot in store.boots(DEVICE):
        numbers = [seq for name, seq in kept if name == boot.boot]
        assert (boot.records, boot.missing) == (len(numbers), max(numbers) + 1 - len(numbers))
    from_raw = _facts(store, everything, None)
    assert from_raw["readings"] == len(expected)
    for state in ("online", "offline"):  # the second adds what waits to the rollups
        kinds(store, status(state=state))
        for level in (rollups.MINUTE, rollups.HOUR, rollups.DAY):
            assert _facts(store, everything, level) == from_raw
        minutes = Range(everything.start // 60_000 * 60_000, everything.end // 60_000 * 60_000 + 60_000)
        assert _sums(store.totals(DEVICE, *minutes), everything) == from_raw
    assert any_store.client.llen(f"{keys.base(DEVICE)}:open") == 0
    won = [r.scores["ANG"] for r in expected if r.state == "speech" and r.scores["ANG"] >= r.scores["NEU"]]
    if expected:
        assert from_raw["labels"]["ANG"]["count"] == len(won)
        assert from_raw["labels"]["ANG"]["mean_confidence"] == (pytest.approx(np.mean(won), abs=1e-4) if won else None)


def _facts(store: RedisStore, asked: Range, level: rollups.Resolution | None) -> dict[str, Any]:
    """Return the summary made from single readings, or from one level of rollups."""
    if level:
        return _sums(store.rollups(DEVICE, level, asked.start // DAY_MS * DAY_MS, asked.end), asked)
    result = series.Summary(asked)
    for raw in store.readings(DEVICE, *asked):
        series._add_readings(result, raw)
    return facts(result)


def _sums(tables: list[rollups.Rollups], asked: Range) -> dict[str, Any]:
    """Return the summary made from rollups."""
    result = series.Summary(asked)
    for rolled in tables:
        series._add_rollups(result, rolled)
    return facts(result)


def test_a_day_of_readings_is_the_same_in_every_level(store: RedisStore) -> None:
    """Readings that come one by one and in arrays, over hours and with two models, give the same sums everywhere."""
    now = store.now()
    made = [
        reading(
            seq,
            now - 79_000 * seq,
            scores={"ANG": seq % 101 / 100, "HAP": seq % 7 / 10, "NEU": seq % 89 / 88}
            if seq % 5
            else dict.fromkeys("ABCDEFGHIJKLMNOP", seq % 11 / 10),
            state="speech" if seq % 3 else "uncertain",
        )
        for seq in range(900)
    ]
    for first, together in ((0, 1), (100, 100), (200, 700)):
        for start in range(first, 100 if together == 1 else first + together, together):
            assert set(kinds(store, *made[start : start + together])) == {"stored"}
    asked = Range(now - DAY_MS, now + 1)
    from_raw = _facts(store, asked, None)
    assert from_raw["readings"] == 900
    for level in (rollups.MINUTE, rollups.HOUR, rollups.DAY):
        assert _facts(store, asked, level) == from_raw


@given(start=st.integers(0, 2**38), length=st.integers(0, 2**38))
def test_a_range_is_covered_once_by_few_slots(start: int, length: int) -> None:
    """Days, hours and minutes join without gap or overlap, and there are less than two days of the smaller ones."""
    start, end = start // 60_000 * 60_000, (start + length) // 60_000 * 60_000
    parts = rollups.cover(start, end)
    assert all(low % level.slot_ms == high % level.slot_ms == 0 and low < high for level, low, high in parts)
    joints = [start, *(at for _, low, high in parts for at in (low, high)), end]
    assert joints[::2] == joints[1::2]
    for most, small in ((48, rollups.HOUR), (120, rollups.MINUTE)):
        assert sum(high - low for level, low, high in parts if level == small) < most * small.slot_ms


def test_a_store_with_another_layout_is_refused(any_store: RunningStore) -> None:
    """Data of an older layout is named and left alone."""
    any_store.client.zadd("mw:devices", {DEVICE: 0})
    with pytest.raises(UnusableError, match="holds data in layout 1, and this version reads layout 2"):
        opened(any_store)
    assert any_store.client.keys("*") == [b"mw:devices"]


def test_a_device_whose_keys_are_broken_harms_no_other(any_store: RunningStore) -> None:
    """A write that fails for one device is to be tried again, and the others of the same batch are stored."""
    store = opened(any_store)
    any_store.client.set(f"{keys.base(OTHER_DEVICE)}:boots", "no hash")
    now = store.now()
    outcomes = store.write([(OTHER_DEVICE, reading(0, now)), (DEVICE, reading(0, now)), (DEVICE, reading(1, now))])
    assert [outcome and outcome.kind for outcome in outcomes] == [None, "stored", "stored"]
    any_store.client.delete(f"{keys.base(OTHER_DEVICE)}:boots")
    assert store.write([(OTHER_DEVICE, reading(0, now))]) == [Outcome("stored")]
