"""The store keeps each record once, whatever order, repetition or time it comes with; over Redis, Valkey, a cluster."""

from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore
from stores import RETENTION_MS, write

from broker.messages import Generation, encode
from server.query.summary import summarize
from server.query.time_range import Range
from server.store import keys
from server.store.redis_store import RedisStore
from server.store.types import Clock, Outcome

OTHER_DEVICE = "ba9876543210"


def test_a_repeat_is_answered_as_such_and_changes_nothing(store: RedisStore) -> None:
    """A reading that comes again leaves counts, chunks and rollups as they are."""
    now = store.now()
    assert write(store, reading(0, now), reading(0, now)) == ["stored", "repeat"]
    before = (
        store.device(DEVICE),
        store.boots(DEVICE),
        summarize(store, DEVICE, Range(0, now + 1), raw_is_kept=True).to_dict(),
    )
    assert write(store, reading(0, now)) == ["repeat"]
    after = (
        store.device(DEVICE),
        store.boots(DEVICE),
        summarize(store, DEVICE, Range(0, now + 1), raw_is_kept=True).to_dict(),
    )
    assert before == after
    assert after[0] is not None
    assert after[0].readings == 1


def test_readings_of_the_same_millisecond_are_all_kept(store: RedisStore) -> None:
    """Neither two sequence numbers nor two boots in one millisecond overwrite each other."""
    now = store.now()
    assert write(store, reading(0, now), reading(1, now), reading(0, now, boot=OTHER_BOOT)) == ["stored"] * 3
    (table,) = store.readings(DEVICE, now, now + 1)
    assert table.at.tolist() == [now] * 3


def test_what_is_written_is_read_back(store: RedisStore) -> None:
    """Scores come back to a ten-thousandth, the level to half a decibel, time and state exactly."""
    now = store.now()
    write(store, reading(7, now - 12_345, state="uncertain", level_dbfs=-31.6, scores={"B": 0.1234, "A": 0.8766}))
    (table,) = store.readings(DEVICE, now - 20_000, now)
    assert table.schema.labels == ("A", "B")
    assert (table.at[0], bool(table.speech[0]), table.level_dbfs[0]) == (now - 12_345, False, -31.5)
    assert table.scores[0].tolist() == [0.8766, 0.1234]


def test_1970_is_expired_and_next_week_is_refused(store: RedisStore) -> None:
    """A reading older than the retention is `expired`, one more than five minutes ahead is refused with the reason."""
    now = store.now()
    assert write(store, reading(0, 0), reading(1, now - RETENTION_MS - 1000)) == ["expired", "expired"]
    assert write(store, reading(2, now + 290_000)) == ["stored"]
    (outcome,) = store.write([(DEVICE, reading(3, now + 7 * DAY_MS))])
    assert outcome is not None
    assert outcome.kind == "refused"
    assert "604800 s ahead" in outcome.reason
    assert [boot.records for boot in store.boots(DEVICE)] == [1]


def test_missing_numbers_are_holes_below_the_highest(store: RedisStore) -> None:
    """A boot's missing records are the numbers that never came, until they do."""
    now = store.now()
    write(store, reading(5, now), reading(2, now), heard(3, now))
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(3, 3)]
    write(store, reading(0, now), reading(1, now), reading(4, now))
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(6, 0)]


def test_erasing_leaves_only_the_generation(store: RedisStore, any_store: RunningStore) -> None:
    """After an erasure no key of the device but its marker is left, old records are `erased`, new ones are taken."""
    now = store.now()
    write(store, status(), *(reading(seq, now - seq * 3_600_000) for seq in range(100)), heard(100, now))
    receipt = store.erase(DEVICE)
    assert (receipt.generation, receipt.records) == (1, 101)
    keys = set(any_store.client.keys("*"))
    assert keys == {b"mw:{0123456789ab}", b"mw:devices", b"mw:erased", b"mw:jobs", b"mw:layout"}
    assert set(any_store.client.hgetall("mw:{0123456789ab}")) == {b"gen", b"erased_at"}
    assert store.device(DEVICE) is None
    assert store.devices("", 10) == []
    assert write(store, reading(0, now), reading(101, now, gen=1)) == ["erased", "stored"]
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(1, 0)]
    assert [device.generation for device in store.devices("", 10)] == [1]
    assert [(due.id, due.device, due.name, due.payload) for due in store.commands.due()] == [
        (receipt.command, DEVICE, "erase", encode(Generation(gen=1)))
    ]


def test_gaps_after_an_erasure_are_counted(store: RedisStore) -> None:
    """The boot that lived through an erasure misses nothing before its first number; a later one begins at 0."""
    now = store.now()
    write(store, reading(0, now - 9000))
    store.erase(DEVICE)
    write(store, reading(7, now - 5000, gen=1), reading(9, now - 4000, gen=1))
    write(store, reading(3, now, gen=1, boot=OTHER_BOOT))
    boots = store.boots(DEVICE)
    assert [(boot.boot, boot.records, boot.missing) for boot in boots] == [(BOOT, 2, 1), (OTHER_BOOT, 1, 3)]


def test_an_erased_device_is_not_listed_for_saying_hello(store: RedisStore) -> None:
    """A status lists a new device, but not one whose data was erased."""
    write(store, status())
    assert store.device(DEVICE) is not None
    store.erase(DEVICE)
    write(store, status(connection=2))
    assert store.device(DEVICE) is None


def test_nothing_is_dated_by_a_clock_that_is_off_that_of_ingest(store: RedisStore) -> None:
    """Records and statuses wait; an event from the future would give its date to all that follow."""
    now = store.now()
    batch = [(DEVICE, status()), (DEVICE, reading(0, now))]
    assert store.send(batch, clock=Clock(now - 100 * DAY_MS))() == [None, None]
    assert store.events(DEVICE, 0, now + 1) == []
    assert store.device(DEVICE) is None
    assert store.send(batch, clock=Clock(now))() == [Outcome("stored"), Outcome("stored")]


def test_an_older_last_will_does_not_override_a_newer_connection(store: RedisStore) -> None:
    """The will of an earlier connection or of an earlier boot arrives late and is stale."""
    assert write(store, status(connection=1), status(connection=2)) == ["stored", "stored"]
    assert write(store, status(connection=1, state="offline")) == ["stale"]
    assert write(store, status(boot=OTHER_BOOT, connection=1)) == ["stored"]
    assert write(store, status(connection=2, state="offline")) == ["stale"]
    device = store.device(DEVICE)
    assert device is not None
    assert device.state == "online"
    assert write(store, status(boot=OTHER_BOOT, connection=1, state="offline")) == ["stored"]
    events = store.events(DEVICE, 0, store.now() + 1)
    assert [event.state for event in events] == ["online", "online", "offline"]


def test_a_device_whose_keys_are_broken_harms_no_other(store: RedisStore, any_store: RunningStore) -> None:
    """A write that fails for one device is to be tried again, and the others of the same batch are stored."""
    any_store.client.set(keys.boots(OTHER_DEVICE), "no hash")
    now = store.now()
    outcomes = store.write([(OTHER_DEVICE, reading(0, now)), (DEVICE, reading(0, now)), (DEVICE, reading(1, now))])
    assert [outcome and outcome.kind for outcome in outcomes] == [None, "stored", "stored"]
    any_store.client.delete(keys.boots(OTHER_DEVICE))
    assert store.write([(OTHER_DEVICE, reading(0, now))]) == [Outcome("stored")]
