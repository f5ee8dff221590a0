"""Spans explain each stretch of time without a clear emotion."""

import numpy as np
from clients import URL, Client
from records import DEVICE, heard, reading, status
from stores import next_millisecond, write

from server.query.spans import spans
from server.query.time_range import Range
from server.store import keys
from server.store.redis_store import RedisStore

MINUTE_MS = 60_000


def history(client: Client, *changes: tuple[int, str]) -> None:
    """Let the device have said (minutes ago, state) and nothing else, as if that had been then."""
    key, now = keys.events(DEVICE), client.store.now()
    client.store.write([(DEVICE, status())])
    client.store.execute("DEL", key)
    for minutes, state in changes:
        fields = ("kind", state, "model", "ang-hap-neu-1")
        client.store.execute("XADD", key, f"{now - minutes * MINUTE_MS}-0", *fields)


def told(client: Client, query: str = "") -> list[tuple[str, int]]:
    """Return kind and whole minutes of the spans of the last hour."""
    times = client.get(f"{URL}?{query}")["spans"]
    minutes = [(np.datetime64(t["end"][:-1]) - np.datetime64(t["start"][:-1])) / np.timedelta64(1, "m") for t in times]
    return [(span["kind"], round(float(each))) for span, each in zip(times, minutes, strict=True)]


def test_each_stretch_of_an_hour_has_its_kind(client: Client) -> None:
    """Silent, missing, paused and offline stretches follow each other."""
    now = client.store.now()
    history(client, (90, "online"), (30, "paused"), (20, "offline"), (10, "online"))
    silent = [heard(number, now - (60 - number) * MINUTE_MS) for number in range(1, 16)]
    after = [heard(20 + number, now - (10 - number) * MINUTE_MS, silent=5, speech=55) for number in range(1, 10)]
    client.store.write([(DEVICE, record) for record in [*silent, *after]])
    found = told(client)
    assert found == [("silence", 15), ("missing", 15), ("paused", 10), ("offline", 10)]


def test_the_latest_minutes_are_not_missing(client: Client) -> None:
    """Records of a device that went online two minutes ago may still be on their way."""
    history(client, (2, "online"))
    assert told(client) == []


def test_a_dead_microphone_is_missing(client: Client) -> None:
    """Records without a window are no silence."""
    now = client.store.now()
    history(client, (90, "online"))
    deaf = [heard(number, now - (60 - number) * MINUTE_MS, windows=0, silent=0) for number in range(60)]
    client.store.write([(DEVICE, record) for record in deaf])
    assert told(client) == [("missing", 57)]


def test_late_records_shorten_an_offline_span(client: Client) -> None:
    """What a device heard while it was offline counts once it arrives, whether records of listening or readings."""
    now = client.store.now()
    history(client, (50, "offline"), (20, "online"))
    later = [heard(number, now - (40 - number) * MINUTE_MS, silent=0, speech=60) for number in range(10)]
    records = [reading(100 + number, now - (20 - number) * MINUTE_MS) for number in range(20)]
    client.store.write([(DEVICE, record) for record in [*later, *records]])
    assert told(client, f"step=1m&start={now / 1000 - 3600}") == [("offline", 9), ("offline", 11)]


def test_mostly_uncertain_steps_are_a_span(client: Client, now: int) -> None:
    """The fixture's last reading is uncertain, so that its step is."""
    (span,) = client.get(f"{URL}?start={now / 1000 - 60}&end={now / 1000 + 10}&step=10s")["spans"]
    assert span["kind"] == "uncertain"


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


def test_minutes_that_were_paused_without_a_connection_are_paused(client: Client) -> None:
    """Records of a pause that arrive later say so, whatever the device's last state was."""
    now = client.store.now()
    history(client, (90, "online"), (40, "offline"), (10, "online"))
    pause = [
        heard(number, now - (40 - number) * MINUTE_MS, windows=0, silent=0, paused=True) for number in range(1, 21)
    ]
    after = [heard(40 + number, now - (10 - number) * MINUTE_MS) for number in range(1, 10)]
    before = [heard(60 + number, now - (60 - number) * MINUTE_MS) for number in range(21)]
    client.store.write([(DEVICE, record) for record in [*before, *pause, *after]])
    assert told(client) == [("silence", 20), ("paused", 20), ("offline", 10), ("silence", 9)]
