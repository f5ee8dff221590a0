"""What an outbox had to drop, as spans: told to the server until it is as good as forgotten."""

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from broker.messages import MAX_SEQ, MOST_DROPPED_SPANS, DroppedSpan
from common.decoding import JSON_ERRORS
from device.delivery.outbox_salvage import SEQ_BITS

_NEAR = 100
"""Spans of one boot with fewer numbers between them are one: what lies between was sent while others were dropped."""
_DATED = "CASE WHEN held_ms IS NULL THEN at_ms END"
"""The date of a row that is not held for it."""


def up_to(db: sqlite3.Connection, last: int | None, names: Mapping[int, str]) -> list[DroppedSpan]:
    """Return what the rows of an outbox up to a key are, a span for each boot.

    Args:
        db: With the tables of `outbox_table`.
        last: The key; None for no row.
        names: Of the boots, by number.
    """
    found = db.execute(
        f"SELECT id >> {SEQ_BITS}, min(id) & {MAX_SEQ}, max(id) & {MAX_SEQ}, "  # noqa: S608 - our own numbers
        f"coalesce(min({_DATED}), min(at_ms)), coalesce(max({_DATED}), max(at_ms)), count(*) "
        f"FROM rows WHERE id <= ? AND id NOT IN removed GROUP BY id >> {SEQ_BITS}",
        (last,),
    )
    return [
        DroppedSpan(boot=names[number], first=first, last=last_, start=start, end=end, records=count)
        for number, first, last_, start, end, count in found
    ]


def add(spans: tuple[DroppedSpan, ...], more: Iterable[DroppedSpan]) -> tuple[DroppedSpan, ...]:
    """Return spans with more behind them; of too many, the oldest are forgotten."""
    found = list(spans)
    for new in more:
        last = found[-1] if found else None
        if last and last.boot == new.boot and 0 <= new.first - last.last <= _NEAR:
            found[-1] = DroppedSpan(
                boot=new.boot,
                first=last.first,
                last=new.last,
                start=min(last.start, new.start),
                end=max(last.end, new.end),
                records=last.records + new.records,
            )
        else:
            found.append(new)
    return tuple(found[-MOST_DROPPED_SPANS:])


def write(spans: tuple[DroppedSpan, ...]) -> str:
    """Return spans as a text."""
    return msgspec.json.encode(spans).decode()


def read(text: str) -> tuple[DroppedSpan, ...]:
    """Return the spans of a text that `write` made; none for what cannot be read."""
    try:
        return msgspec.json.decode(text, type=tuple[DroppedSpan, ...])
    except JSON_ERRORS:
        return ()
