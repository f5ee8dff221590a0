"""The live stream keeps news for a while, and its event ids are strict."""

import pytest
from brokers import DEVICE
from hypothesis import given
from hypothesis import strategies as st
from listening import Server
from records import reading

from server.store import live_stream
from server.store.live_stream import Position


def test_late_readings_are_no_news_and_the_stream_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
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


@given(st.text(max_size=30))
def test_an_event_id_is_parsed_or_refused(text: str) -> None:
    """What is no id raises ValueError; an id is written back as it was."""
    try:
        place = live_stream.parse(text)
    except ValueError:
        return
    assert live_stream.parse(str(place)) == place
