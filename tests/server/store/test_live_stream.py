"""The live stream keeps news for a while, and its event ids are strict."""

import pytest
from brokers import DEVICE
from hypothesis import given
from hypothesis import strategies as st
from live_events import LiveServer
from records import DAY_MS, reading, status

from broker.messages import Command
from server.store import live_stream
from server.store.live_stream import Position
from server.store.redis_store import RedisStore


def test_late_readings_are_left_out_and_old_entries_go(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading older than a minute is no live event, and old entries are dropped."""
    now = server.store.now()
    server.send(DEVICE, reading(0, now))
    server.send(DEVICE, reading(1, now - 70_000), reading(2, now - 50_000))
    events, _ = server.live_stream.after(Position(0, 0, 0), 10)
    assert [event.facts["at"] for event in events] == [now, now - 50_000]
    monkeypatch.setattr(live_stream, "KEPT_MS", 0)
    for seq in range(500):
        server.live_stream.add([(DEVICE, reading(seq, now + seq))])
        server.live_stream.flush()
    assert server.store.execute("XLEN", "mw:live") < 250


def test_a_clock_that_jumped_ahead_lets_the_stream_grow_no_further(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis gives all that follows the same date, so no entry is ever too old; their number is bounded."""
    monkeypatch.setattr(live_stream, "_MOST_ENTRIES", 100)
    now = server.store.now()
    server.store.execute("XADD", "mw:live", now + 100 * DAY_MS, "batch", b"")
    server.store.execute("XTRIM", "mw:live", "MAXLEN", 0)
    for seq in range(500):
        server.live_stream.add([(DEVICE, reading(seq, now))])
        server.live_stream.flush()
    assert server.store.execute("XLEN", "mw:live") < 250


@given(st.text(max_size=30))
def test_an_event_id_is_parsed_or_refused(text: str) -> None:
    """What is no id raises ValueError; an id is written back as it was."""
    try:
        place = live_stream.parse(text)
    except ValueError:
        return
    assert live_stream.parse(str(place)) == place


def test_events_go_with_the_next_batch_and_with_a_delete(store: RedisStore) -> None:
    """What one batch brought is sent with the next one; after a Delete neither events nor commands are left."""
    batch = [(DEVICE, status()), (DEVICE, reading(0, store.now()))]
    store.write(batch)
    stream = store.live_stream
    stream.add(batch)
    assert stream.start() is None
    outcomes = store.send([(DEVICE, reading(1, store.now()))], stream.commands())()
    assert [outcome and outcome.kind for outcome in outcomes] == ["stored"]
    events, position = stream.after(Position(0, 0, 0), 10)
    assert [(event.device, event.kind) for event in events] == [(DEVICE, "status"), (DEVICE, "reading")]
    assert position == stream.end()
    store.commands.add(DEVICE, "pause", Command(transaction="ab"))
    store.erase(DEVICE)
    assert stream.start() is None
    assert store.commands.find(DEVICE, "ab") is None
    assert [command.name for command in store.commands.due()] == ["erase"]
