"""Means, spans of absence and sums are those of the readings, and a second device with the same id is seen."""

from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from stores import next_millisecond, write

from server.query.series import grid, overlapping, spans
from server.query.time_range import Range
from server.store.redis_store import RedisStore


def test_two_devices_with_one_id_are_stored_apart(store: RedisStore) -> None:
    """Two boots that send in turns for the same time keep all their readings, and the overlap is seen."""
    now = store.now()
    for seq in range(10):
        for boot in (BOOT, OTHER_BOOT):
            write(store, reading(seq, now - 1000 * seq - 500 * (boot == OTHER_BOOT), boot=boot))
            next_millisecond(store)
    boots = store.boots(DEVICE)
    assert [(boot.boot, boot.records, boot.missing) for boot in boots] == [(OTHER_BOOT, 10, 0), (BOOT, 10, 0)]
    assert overlapping(boots)
    assert not overlapping(boots[:1])


def test_a_clock_that_steps_back_is_no_second_device(store: RedisStore) -> None:
    """Readings for the same time that come one boot after the other are those of one device that was restarted."""
    now = store.now()
    for boot in (BOOT, OTHER_BOOT):
        write(store, *(reading(seq, now - 1000 * seq, boot=boot) for seq in range(10)))
        next_millisecond(store)
    assert len(store.boots(DEVICE)) == 2
    assert not overlapping(store.boots(DEVICE))


def test_silence_and_absence_are_told(store: RedisStore) -> None:
    """Silent minutes join to one span, and the time after an `offline` is one of its own."""
    now = store.now()
    write(store, *(heard(seq, now - 600_000 + 60_000 * seq) for seq in range(3)))
    write(store, heard(3, now - 420_000, silent=10, speech=50), status(), status(state="offline"))
    asked = Range(now - 3_600_000, now + 60_000)
    next_millisecond(store)
    found = spans(store, DEVICE, asked, store.now())
    assert found[-1].kind == "offline"
    assert [(span.kind, span.end - span.start) for span in found if span.kind == "silence"] == [("silence", 180_000)]


def test_another_model_with_other_labels_is_another_schema(store: RedisStore) -> None:
    """Means over readings of two models take each label's own readings only."""
    now = store.now()
    write(store, reading(0, now, scores={"ANG": 1.0}), reading(1, now, scores={"ANG": 0.5, "SAD": 0.5}, model="other"))
    for step_ms in (1000, 60_000, 3_600_000, DAY_MS):
        means = grid(store, DEVICE, Range(now - 1000, now + 1), step_ms).means
        assert {label: mean.tolist() for label, mean in means.items()} == {"ANG": [0.75], "SAD": [0.5]}
