"""How the lines of a backup come out of a store and go back into one; Python's half of `restore.lua`.

What is restored is merged with what is there: a list of an hour's readings gets those that it does not have yet, so a
restore can be repeated, and a store that lost some days gets just these. Tokens and commands are not in a backup.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Literal, TypeVar, cast

import msgspec
import numpy as np

from broker.messages import Heard, Reading
from server.ops.backup_format import (
    MOST_ROWS,
    MOST_RUNS,
    AnyLine,
    BootLine,
    DeviceLine,
    End,
    EventsLine,
    Head,
    HeardLine,
    HeardRow,
    Kind,
    Line,
    ReadingRow,
    ReadingsLine,
    RollupsLine,
)
from server.store import codec, keys, rollups, sequences
from server.store.keys import DAY_MS
from server.store.limits import MOST_BOOTS, PAGES_PER_BOOT
from server.store.redis_store import RedisStore
from server.store.types import Schema, Word

Row = TypeVar("Row", ReadingRow, HeardRow)
_PAGE = 1000
_NO_BOOT = "0" * 16
_RESOLUTIONS = (rollups.DAY, rollups.HOUR, rollups.MINUTE)
_SUMS = ("sum", "won_sum", "min", "max")


def export(store: RedisStore) -> Iterator[AnyLine]:
    """Yield all lines; only an hour of readings and the sequence numbers of one device are in memory at a time.

    Each device's records are those of one moment, whatever is written meanwhile.

    Raises:
        StoreAwayError: the store does not answer.
    """
    yield Head(1, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), version("moodwire"))
    devices = readings = 0
    after = "-"
    while ids := store.execute("ZRANGEBYLEX", keys.DEVICES, after, "+", "LIMIT", 0, _PAGE):
        for device in ids:
            for line in _device(store, device.decode()):
                devices += isinstance(line, DeviceLine)
                readings += len(line.rows) if isinstance(line, ReadingsLine) else 0
                yield line
        after = f"({ids[-1].decode()}"
    yield End(devices, readings)


def _device(store: RedisStore, device: str) -> Iterator[AnyLine]:
    base = keys.base(device)
    found = store.execute("FCALL_RO", keys.function("survey"), 1, base)
    meta, schemas, boots, ids, pages, bitmaps, days, readings, heard = found
    about = {name.decode(): value.decode("utf-8", "replace") for name, value in _pairs(meta)}
    gen = int(about.get("gen", 0))
    if gen or "first_seen" in about:
        yield DeviceLine(
            device=device,
            generation=gen,
            erased_at=int(about.get("erased_at", 0)),
            first_seen=int(about.get("first_seen", 0)),
            last_seen=int(about.get("last_seen", 0)),
            name=about.get("name", ""),
            state=about.get("state", ""),
            labels=about.get("labels", ""),
            model=about.get("model", ""),
            version=about.get("version", ""),
        )
    yield from _boots(device, gen, _pairs(boots), bitmaps, dict(zip(map(int, ids), pages, strict=True)))
    by_number = {int(number): codec.parse_schema(text.decode()) for text, number in _pairs(schemas)}
    for hour, length in _pairs(readings):
        values = store.execute("LRANGE", keys.readings(device, hour), 0, length - 1)
        for number in sorted({value[codec.SCHEMA_BYTE] for value in values}):
            own = [value for value in values if value[codec.SCHEMA_BYTE] == number]
            schema = by_number[number]
            for rows in _divided(_rows(schema, hour, own)):
                yield ReadingsLine(device=device, generation=gen, schema=_kind(schema), rows=rows)
    for chunk, length in _pairs(heard):
        values = store.execute("LRANGE", keys.heard(device, chunk), 0, length - 1)
        for heard_rows in _divided([HeardRow(*codec.unpack_heard_whole(chunk, value)) for value in values]):
            yield HeardLine(device=device, generation=gen, rows=heard_rows)
    yield from _events(store, device, gen)
    yield from _rollups(store, device, gen, [int(day) for day in days])
    if int(store.execute("HGET", base, "gen") or 0) != gen:
        # Erased meanwhile: when a restore meets the higher generation, it erases what the lines above brought.
        yield from _device(store, device)


def _boots(
    device: str, gen: int, boots: Iterable[tuple[bytes, bytes]], bitmaps: Sequence[bytes], pages: dict[int, bytes]
) -> Iterator[BootLine]:
    """Yield the boots whose sequence numbers have not expired.

    Args:
        device: Device id.
        gen: Its generation.
        boots: Names and facts.
        bitmaps: Of each boot of layout 2; empty for others.
        pages: Bitmaps of pages by their numbers among all of the device.
    """
    by_index = sequences.pages_by_index(pages)
    newest_last = sorted(zip(boots, bitmaps, strict=True), key=lambda each: codec.unpack_boot(*each[0]).last_at)
    for (name, packed), bitmap in newest_last[-MOST_BOOTS:]:
        boot, index = codec.unpack_boot(name, packed), codec.boot_index(packed)
        numbers = [(page, pages[index * PAGES_PER_BOOT + page]) for page in by_index.get(index, ())]
        seen = sequences.runs(numbers or [(0, bitmap)])
        if len(seen) and boot.records:
            yield BootLine(
                device=device,
                generation=gen,
                boot=boot.boot,
                first_at=boot.first_at,
                last_at=boot.last_at,
                first_arrival=boot.first_arrival,
                last_arrival=boot.last_arrival,
                records=boot.records,
                lowest=boot.lowest,
                highest=boot.highest,
                seen=[(first, last) for first, last in seen[-MOST_RUNS:].tolist()],
            )


def _kind(schema: Schema) -> Kind:
    return Kind(schema.model, schema.span_ms, schema.labels)


def _divided(rows: list[Row]) -> Iterator[list[Row]]:
    """Yield rows for one line after the other; those of one moment stay together, as restore counts equal ones."""
    if len(rows) <= MOST_ROWS:
        yield rows
        return
    rows = sorted(rows, key=lambda row: row.at)
    while rows:
        end = min(MOST_ROWS, len(rows))
        while 0 < end < len(rows) and rows[end - 1].at == rows[end].at:
            end -= 1
        end = end or MOST_ROWS
        yield rows[:end]
        rows = rows[end:]


def _rows(schema: Schema, hour: int, values: list[bytes]) -> list[ReadingRow]:
    """Return readings of one schema and hour."""
    table = codec.unpack_readings(schema, [(hour, b"".join(values))])
    synced = [codec.reading_clock_synced(value) for value in values]
    columns = (table.at.tolist(), table.speech.tolist(), table.level_dbfs.tolist(), synced, table.scores.tolist())
    return [
        ReadingRow(at, "speech" if speech else "uncertain", level, clock, scores)
        for at, speech, level, clock, scores in zip(*columns, strict=True)
    ]


def _events(store: RedisStore, device: str, gen: int) -> Iterator[EventsLine]:
    after = "-"
    while entries := store.execute("XRANGE", keys.events(device), after, "+", "COUNT", _PAGE):
        rows = [(name.decode(), fields[b"kind"].decode(), fields[b"model"].decode()) for name, fields in entries]
        yield EventsLine(device=device, generation=gen, rows=rows)
        after = f"({rows[-1][0]}"


def _rollups(store: RedisStore, device: str, gen: int, days: Sequence[int]) -> Iterator[RollupsLine]:
    """Yield days and hours, and the minutes of those days whose readings are not all kept."""
    latest_ms = max(store.now(), time.time_ns() // 1_000_000)  # one of them may be slow: more minutes do no harm
    whole = (latest_ms - store.retention_ms) // DAY_MS + 1
    for day in days:
        for resolution in _RESOLUTIONS[: 2 if day >= whole else 3]:
            groups: dict[tuple[Schema, int], dict[int, list[int]]] = {}
            for table in store.rollups(device, resolution, day * DAY_MS, (day + 1) * DAY_MS):
                for at, sums in zip(table.at.tolist(), _sums(table), strict=True):
                    group, slot = divmod(at // resolution.slot_ms, resolution.slots)
                    slots = groups.setdefault((table.schema, group), {})
                    slots[slot] = _add(slots[slot], sums) if slot in slots else sums
            for (schema, group), slots in groups.items():
                yield RollupsLine(
                    device=device,
                    generation=gen,
                    schema=_kind(schema),
                    resolution=cast("Literal['m', 'h', 'd']", resolution.name),
                    group=group,
                    rows=sorted(slots.items()),
                )


def _sums(table: rollups.Rollups) -> list[list[int]]:
    """Return rollups as `rollups.lua` keeps them unpacked: readings, uncertain ones, and 24 numbers for each label."""
    labels = table.table["labels"]
    parts = [labels[name][:, :, None].astype(np.int64) for name in _SUMS]
    each = np.concatenate([*parts, labels["all"], labels["won"]], axis=2)
    heads = np.stack([table.table["count"], table.table["uncertain"]], axis=1)
    found: list[list[int]] = np.concatenate(
        [heads, each.reshape(len(heads), each.shape[1] * rollups.SUMS_PER_LABEL)], axis=1
    ).tolist()
    return found


def _add(sums: list[int], other: list[int]) -> list[int]:
    """Return the sum of two rollups of one slot, with the lower minimum and the higher maximum."""
    found = [one + two for one, two in zip(sums, other, strict=True)]
    for first in range(2, len(found), rollups.SUMS_PER_LABEL):
        found[first + 2] = min(sums[first + 2], other[first + 2])
        found[first + 3] = max(sums[first + 3], other[first + 3])
    return found


def restore(store: RedisStore, line: AnyLine) -> Counter[str]:
    """Merge one line into a store and count its records by outcome: restored, there, expired, erased.

    Raises:
        StoreAwayError: the store does not answer, or cannot take it.
    """
    if not isinstance(line, Line):
        return Counter()
    base = keys.base(line.device)
    keep_ms, keep_rollups_ms = store.retention_ms, store.rollup_retention_ms

    def call(name: str, *words: Word) -> Any:
        return store.execute("FCALL", keys.function(name), 1, base, line.generation, *words)

    if isinstance(line, DeviceLine):
        store.execute("ZADD", keys.DEVICES, 0, line.device)
        seen = (line.erased_at, line.first_seen, line.last_seen)
        call("restore_device", *seen, line.name, line.state, line.labels, line.model, line.version)
    elif isinstance(line, BootLine):
        records = line.records or sum(last - first + 1 for first, last in line.seen)
        lowest = line.seen[0][0] if line.lowest is None else line.lowest
        highest = line.seen[-1][1] if line.highest is None else line.highest
        facts = (line.first_at, line.last_at, records, lowest, highest, line.first_arrival, line.last_arrival)
        pages = [word for page in sequences.pages(line.seen) for word in page]
        call("restore_boot", bytes.fromhex(line.boot), *facts, *pages)
    elif isinstance(line, ReadingsLine) and line.rows:
        packed = [codec.pack_reading(_reading(line.schema, row)) for row in line.rows]
        answer = call("restore_records", keep_ms, packed[0][0], *(value for _, value in packed))
        return _outcomes("readings", answer, len(line.rows))
    elif isinstance(line, HeardLine) and line.rows:
        values = [codec.pack_heard(_heard(row)) for row in line.rows]
        return _outcomes("heard", call("restore_records", keep_ms, "", *values), len(values))
    elif isinstance(line, EventsLine):
        words = [word for row in line.rows for word in row]
        return Counter({"events restored": call("restore_events", keep_rollups_ms, *words)})
    elif isinstance(line, RollupsLine):
        nothing = ReadingRow(0, "speech", 0.0, clock_synced=False, scores=[0.0] * len(line.schema.labels))
        text, _ = codec.pack_reading(_reading(line.schema, nothing))
        slots: list[Word] = [word for slot, sums in line.rows for word in (slot, msgspec.json.encode(sums))]
        call("restore_rollups", line.resolution, line.group, text, *slots)
    return Counter()


def _outcomes(what: str, answer: list[int], length: int) -> Counter[str]:
    restored, there, expired = answer
    if restored < 0:
        return Counter({f"{what} erased": length})
    return Counter({f"{what} restored": restored, f"{what} there": there, f"{what} expired": expired})


def _reading(schema: Kind, row: ReadingRow) -> Reading:
    """Return a reading without its identity, which is in the line of its boot."""
    return Reading(
        boot=_NO_BOOT,
        seq=0,
        gen=0,
        at=row.at,
        span_ms=schema.span_ms,
        state=row.state,
        scores=dict(zip(schema.labels, row.scores, strict=True)),
        level_dbfs=row.level_dbfs,
        model=schema.model,
        clock_synced=row.clock_synced,
    )


def _heard(row: HeardRow) -> Heard:
    """Return a heard record without its identity."""
    return Heard(boot=_NO_BOOT, seq=0, gen=0, **msgspec.structs.asdict(row))


def _pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Return a flat list of names and values as pairs."""
    return zip(flat[::2], flat[1::2], strict=True)
