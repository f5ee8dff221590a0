"""What was made, what was told, and what is stored are compared record by record."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from records import BOOT, heard, reading
from services import RunningStore
from stores import RETENTION_MS, ROLLUP_RETENTION_MS

from broker.messages import Heard
from server.store.redis_store import RedisStore
from trials.chaos.device_process import heard_facts, scores
from trials.chaos.fleet import Device, Made, Run
from trials.chaos.reconcile import Count, reconcile

NAME, CHECK = "020000000001", 1
HEARD = 50_123_456
"""Number of the `heard` record."""
LABELS = ("ANG", "HAP", "NEU")


@pytest.fixture
def kept(redis_store: RunningStore) -> Iterator[RedisStore]:
    """Return an empty store."""
    store = RedisStore(redis_store.url, RETENTION_MS, ROLLUP_RETENTION_MS)
    store.prepare()
    yield store
    store.close()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Return a device that made four readings and one heard record, all kept and confirmed."""
    device = Device(NAME, CHECK, tmp_path / NAME, broker_port=1, per_s=1.0)
    run = Run()
    run.boot = BOOT
    run.kept = dict.fromkeys(range(5), True)
    run.told = [(2.0, BOOT, "stored", ((0, 4),))]
    device.runs.append(run)
    yield device
    device.close()


def heard_record(number: int, seq: int, at: int, boot: str = BOOT, check: int = CHECK) -> Heard:
    """Return the `heard` record with a number."""
    dropped, clipping = heard_facts(number, check)
    return heard(seq, at, boot=boot, dropped=dropped, clipping=clipping)


def store(
    kept: RedisStore, device: Device, seqs: range, boot: str = BOOT, offsets: Sequence[int] = (0, 1, 2, 3, 4)
) -> None:
    """Store some of the device's records, so many ms after another, and enter all in its journal."""
    at = kept.now() - 60_000
    for seq in range(5):
        device.run.made[seq] = Made(1.0, "heard" if seq == 4 else "reading", HEARD if seq == 4 else seq, generation=0)
    for seq in seqs:
        if seq == 4:
            kept.write([(NAME, heard_record(HEARD, seq, at + offsets[seq], boot))])
        else:
            held = dict(zip(LABELS, scores(seq, CHECK, LABELS), strict=True))
            kept.write([(NAME, reading(seq, at + offsets[seq], boot=boot, scores=held))])


def count(kept: RedisStore, device: Device) -> Count:
    """Return what became of the device's records."""
    return reconcile(kept, [device], faults_over_s=1.5)


def test_records_that_are_all_stored_once_are_right(kept: RedisStore, device: Device) -> None:
    """All were produced, confirmed and stored, half a second after the fault at most."""
    store(kept, device, range(5))

    found = count(kept, device)

    assert found.is_right, found.wrong
    assert (found.produced, found.confirmed, found.stored, found.recovered_s, found.at_stake) == (5, 5, 5, 0.5, 5)


def test_a_confirmed_record_that_is_missing_is_lost_whatever_the_fault(kept: RedisStore, device: Device) -> None:
    """No cause excuses it, because the device was told that it is on disk."""
    store(kept, device, range(3))
    device.run.forfeit = {3: "deleted with the outbox", 4: "deleted with the outbox"}

    found = count(kept, device)

    assert (found.lost, found.given_up.total(), found.is_right) == (2, 0, False)
    assert f"2 confirmed records of {NAME} are not stored: 3 of boot {BOOT} (stored)" in found.wrong[0]


def test_an_unconfirmed_record_is_given_up_only_for_a_cause(kept: RedisStore, device: Device) -> None:
    """Without a cause it is lost: its outbox had it."""
    store(kept, device, range(3))
    device.run.told = [(2.0, BOOT, "stored", ((0, 2),))]
    device.run.forfeit = {3: "deleted with the outbox"}

    found = count(kept, device)

    assert dict(found.given_up) == {"deleted with the outbox": 1}
    assert found.lost == 1


def test_an_outcome_that_no_fault_gives_cause_for_is_a_loss(kept: RedisStore, device: Device) -> None:
    """A server that calls a fresh record expired loses it."""
    store(kept, device, range(4))
    device.run.told = [(2.0, BOOT, "stored", ((0, 3),)), (2.0, BOOT, "expired", ((4, 4),))]

    assert count(kept, device).lost == 1
    device.expects.add("expired")
    assert count(kept, device).is_right


def test_a_reading_that_is_stored_twice_is_doubled(kept: RedisStore, device: Device) -> None:
    """Its number is found twice, also under another boot."""
    store(kept, device, range(5))
    store(kept, device, range(2), boot="00000000000000cc")

    assert count(kept, device).doubled == 2


def test_heard_records_of_one_moment_are_told_apart(kept: RedisStore, device: Device) -> None:
    """Two with one date are two; one that is stored twice is doubled, and one that is missing is lost."""
    device.run.made[5] = Made(1.0, "heard", HEARD + 1, generation=0)
    device.run.kept[5] = True
    device.run.told.append((2.0, BOOT, "stored", ((5, 5),)))
    store(kept, device, range(5))
    (at,) = kept.heard(NAME, 0, kept.now()).end.tolist()

    found = count(kept, device)
    assert (found.lost, found.doubled) == (1, 0)

    kept.write([(NAME, heard_record(HEARD + 1, 5, at))])
    found = count(kept, device)
    assert (found.lost, found.doubled, found.is_right) == (0, 0, True)

    kept.write([(NAME, heard_record(HEARD, 6, at, "00000000000000cc"))])
    assert count(kept, device).doubled == 1


def test_a_heard_record_that_waited_for_the_clock_is_looked_for(kept: RedisStore, device: Device) -> None:
    """Whatever date it got, it is found by its number; told and not stored, it is lost."""
    store(kept, device, range(4))
    assert count(kept, device).lost == 1
    kept.write([(NAME, heard_record(HEARD, 4, kept.now() - 3_600_000))])
    assert count(kept, device).is_right


def test_a_heard_record_of_another_device_is_found(kept: RedisStore, device: Device) -> None:
    """Each carries who made it."""
    store(kept, device, range(5))
    kept.write([(NAME, heard_record(HEARD, 9, kept.now(), check=CHECK + 1))])

    assert f"1 heard records are stored of {NAME} that it did not make" in count(kept, device).wrong


def test_a_repeat_that_was_counted_is_doubled(kept: RedisStore, device: Device) -> None:
    """The counter says more than there is."""
    store(kept, device, range(5))
    kept.execute("HINCRBY", f"mw:{{{NAME}}}", "readings", 3)

    found = count(kept, device)

    assert found.doubled == 3
    assert found.wrong == [f"the device's counter says 7 of {NAME}, and 4 are stored"]


def test_a_reading_of_another_device_is_found(kept: RedisStore, device: Device) -> None:
    """Each reading carries who made it."""
    store(kept, device, range(5))
    strange = dict(zip(LABELS, scores(1, CHECK + 1, LABELS), strict=True))
    kept.write([(NAME, reading(9, kept.now(), scores=strange))])

    assert f"1 readings are stored of {NAME} that it did not make" in count(kept, device).wrong


def test_what_is_stored_although_it_was_erased_is_wrong(kept: RedisStore, device: Device) -> None:
    """Records of an older generation may not come back."""
    store(kept, device, range(5))
    kept.erase(NAME)
    kept.execute("HDEL", f"mw:{{{NAME}}}", "gen")
    store(kept, device, range(1))
    kept.execute("HSET", f"mw:{{{NAME}}}", "gen", 1)

    found = count(kept, device)

    assert found.given_up["erased"] == 5
    assert any("is stored although it was erased" in sentence for sentence in found.wrong)


def test_readings_with_earlier_dates_than_those_before_them_are_out_of_order(kept: RedisStore, device: Device) -> None:
    """A clock that is set back does that; it is counted, and no fault."""
    store(kept, device, range(5), offsets=[50, 60, 10, 20, 70])

    found = count(kept, device)

    assert found.out_of_order == 2
    assert found.is_right
