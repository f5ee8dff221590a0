"""Completeness over REST: from what devices have sent to seconds, causes and counts."""

from clients import URL, Client
from records import BOOT, DEVICE, health, heard, reading, status

from broker.messages import DroppedSpan
from server.query.time_range import rfc3339
from server.store import keys

MINUTE_MS = 60_000


def test_a_gap_is_told_with_its_cause_and_its_records(client: Client) -> None:
    """A device dropped twenty minutes of an hour, and two of the records were stored before it did."""
    now = client.store.now()
    since = now - 60 * MINUTE_MS
    events = keys.events(DEVICE)
    client.store.write([(DEVICE, status())])
    client.store.execute("DEL", events)
    for minute, state in ((0, "online"), (20, "offline"), (40, "online")):
        client.store.execute("XADD", events, f"{since + minute * MINUTE_MS}-0", "kind", state, "model", "m")
    minutes = [heard(number, since + (number + 1) * MINUTE_MS) for number in range(60)]
    told = DroppedSpan(
        boot=BOOT, first=20, last=39, start=since + 21 * MINUTE_MS, end=since + 40 * MINUTE_MS, records=20
    )
    arrived = [minutes[number] for number in (*range(20), 25, 30, *range(40, 60))]
    client.store.write([(DEVICE, record) for record in arrived])
    client.store.write([(DEVICE, health(dropped_spans=(told,)))])

    found = client.get(f"{URL}/completeness?start={since / 1000}&end={now / 1000}")
    gap = {"start": rfc3339(since + 20 * MINUTE_MS), "end": rfc3339(since + 40 * MINUTE_MS), "cause": "dropped"}
    assert found["gaps"] == [gap | {"records": 18}]
    assert found["records"] == {"expected": 60, "stored": 42, "missing": 18, "dropped": 18, "more_boots": False}
    assert found["causes"] == {"dropped": {"gaps": 1, "seconds": 1200.0}}
    assert (found["expected_s"], found["stored_s"]) == (3600.0, 2400.0)
    assert (found["ratio"], found["more_gaps"]) == (0.666667, 0)


def test_a_device_that_has_only_begun_misses_nothing(client: Client, now: int) -> None:
    """Nothing is expected from before it was known; its first minute is on its way."""
    found = client.get(f"{URL}/completeness")
    assert set(found["causes"]) == {"not_yet"}
    assert found["expected_s"] < 600
    assert found["records"] == {"expected": 3, "stored": 3, "missing": 0, "dropped": 0, "more_boots": False}


def test_the_last_thousand_gaps_are_told_and_all_are_summed(client: Client) -> None:
    """The answer is bounded, whatever a device sends."""
    now = client.store.now()
    times = range(now - 1300 * 2 * MINUTE_MS, now, 2 * MINUTE_MS)
    records = [heard(number, at, boot=BOOT) for number, at in enumerate(times)]
    for place in range(0, len(records), 500):
        client.store.write([(DEVICE, record) for record in records[place : place + 500]])
    client.store.write([(DEVICE, reading(5000, now))])
    found = client.get(f"{URL}/completeness?start={times[0] / 1000}")
    assert len(found["gaps"]) == 1000
    assert found["more_gaps"] == sum(each["gaps"] for each in found["causes"].values()) - 1000 > 200
    total = found["stored_s"] + sum(each["seconds"] for each in found["causes"].values())
    assert round(total, 3) == found["expected_s"]


def test_of_many_boots_the_newest_are_counted(client: Client, now: int) -> None:
    """The answer says so."""
    boots = [reading(0, now - 1000 * number, boot=f"{number:016x}") for number in range(1, 105)]
    client.store.write([(DEVICE, record) for record in boots])
    found = client.get(f"{URL}/completeness")["records"]
    assert found["more_boots"] is True
    assert found["stored"] <= 102


def test_an_older_device_tells_nothing_of_what_it_dropped(client: Client, now: int) -> None:
    """Its health has no spans, and the answer is made without them."""
    client.store.write([(DEVICE, health(dropped=5))])
    found = client.get(f"{URL}/completeness")
    assert found["records"]["dropped"] == 0
