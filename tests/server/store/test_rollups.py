"""Rollups have the sums of the readings in every resolution, and few of them cover a range."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore
from stores import write

from broker.messages import Heard, Reading
from server.query.summary import Summary
from server.query.time_range import Range
from server.store import keys, rollups
from server.store.redis_store import RedisStore

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
def test_the_store_agrees_with_a_plain_model(
    store: RedisStore, any_store: RunningStore, batches: list[list[Any]]
) -> None:
    """Records in any order, repeated, late, from 1970 or next week: each identity counts once, in every view."""
    any_store.client.flushall()
    store.prepare()
    now = store.now()
    kept: dict[tuple[str, int], Reading | Heard] = {}
    for batch in batches:
        records = [_as_record(now, fields) for fields in batch]
        for record, kind in zip(records, write(store, *records), strict=True):
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
        write(store, status(state=state))
        for resolution in (rollups.MINUTE, rollups.HOUR, rollups.DAY):
            assert _facts(store, everything, resolution) == from_raw
        minutes = Range(everything.start // 60_000 * 60_000, everything.end // 60_000 * 60_000 + 60_000)
        assert _sums(store.totals(DEVICE, *minutes), everything) == from_raw
    assert any_store.client.llen(keys.open_readings(DEVICE)) == 0
    won = [r.scores["ANG"] for r in expected if r.state == "speech" and r.scores["ANG"] >= r.scores["NEU"]]
    if expected:
        assert from_raw["labels"]["ANG"]["count"] == len(won)
        assert from_raw["labels"]["ANG"]["mean_confidence"] == (pytest.approx(np.mean(won), abs=1e-4) if won else None)


def _facts(store: RedisStore, asked: Range, resolution: rollups.Resolution | None) -> dict[str, Any]:
    """Return the summary made from single readings, or from rollups of one resolution."""
    if resolution:
        return _sums(store.rollups(DEVICE, resolution, asked.start // DAY_MS * DAY_MS, asked.end), asked)
    result = Summary(asked)
    for raw in store.readings(DEVICE, *asked):
        result.add_readings(raw)
    return result.to_dict()


def _sums(tables: list[rollups.Rollups], asked: Range) -> dict[str, Any]:
    """Return the summary made from rollups."""
    result = Summary(asked)
    for rolled in tables:
        result.add_rollups(rolled)
    return result.to_dict()


def test_a_day_of_readings_is_the_same_in_every_resolution(store: RedisStore) -> None:
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
            assert set(write(store, *made[start : start + together])) == {"stored"}
    asked = Range(now - DAY_MS, now + 1)
    from_raw = _facts(store, asked, None)
    assert from_raw["readings"] == 900
    for resolution in (rollups.MINUTE, rollups.HOUR, rollups.DAY):
        assert _facts(store, asked, resolution) == from_raw


@given(start=st.integers(0, 2**38), length=st.integers(0, 2**38))
def test_a_range_is_covered_once_by_few_slots(start: int, length: int) -> None:
    """Days, hours and minutes join without gap or overlap, and there are less than two days of the smaller ones."""
    start, end = start // 60_000 * 60_000, (start + length) // 60_000 * 60_000
    parts = rollups.cover(start, end)
    assert all(low % width.slot_ms == high % width.slot_ms == 0 and low < high for width, low, high in parts)
    joints = [start, *(at for _, low, high in parts for at in (low, high)), end]
    assert joints[::2] == joints[1::2]
    for most, small in ((48, rollups.HOUR), (120, rollups.MINUTE)):
        assert sum(high - low for width, low, high in parts if width == small) < most * small.slot_ms
