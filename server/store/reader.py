"""Reads the store's replies: readings, rollups, devices and their events."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from server.store import codec
from server.store.codec import SCHEMA_BYTE
from server.store.rollups import OPEN_SCHEMA_BYTE, Resolution, Rollups, roll_up, unpack_rollups
from server.store.types import Device, DeviceEvent, Latest, Readings, Schema

_TEXTS = frozenset([b"name", b"state", b"labels", b"model", b"version"])


class Group(NamedTuple):
    """A key of rollups, and which of its slots are wanted."""

    resolution: Resolution
    number: int
    start: int
    """Unix ms, as end."""
    end: int
    """Not included."""


def readings(
    schemas: dict[bytes, bytes], hours: Sequence[int], lists: Sequence[list[bytes]], start: int, end: int
) -> list[Readings]:
    """Return the readings of start <= at < end (Unix ms) in the lists of some hours, one table for each schema."""
    parts: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for hour, values in zip(hours, lists, strict=True):
        for number in {value[SCHEMA_BYTE] for value in values}:
            own = [value for value in values if value[SCHEMA_BYTE] == number] if len(schemas) > 1 else values
            parts[number].append((hour, b"".join(own)))
    by_number = _by_number(schemas)
    tables = []
    for number, found in parts.items():
        table = codec.unpack_readings(by_number[number], found)
        inside = (table.at >= start) & (table.at < end)
        tables.append(
            Readings(
                table.schema, table.at[inside], table.speech[inside], table.level_dbfs[inside], table.scores[inside]
            )
        )
    return tables


def rollups(
    schemas: dict[bytes, bytes],
    wanted: Sequence[tuple[Resolution, int, int]],
    open_: list[bytes],
    groups: Iterable[tuple[Group, dict[bytes, bytes]]],
) -> list[Rollups]:
    """Return rollups, and the readings that are not yet in them, in tables of one schema each.

    Args:
        schemas: Numbers of schemas by their texts.
        wanted: Ranges (resolution, start, end), Unix ms.
        open_: Readings that are not yet in the rollups.
        groups: Keys with their slots.
    """
    by_number = _by_number(schemas)
    found = list(groups)
    sizes = [len(reply) for _, reply in found]
    whole = [(group * width.slots, width.slot_ms, start, end) for (width, group, start, end), _ in found]
    first, slot_ms, start, end = np.repeat(np.array(whole, np.int64).reshape(-1, 4), sizes, axis=0).T
    fields = b"".join(itertools.chain.from_iterable(reply for _, reply in found))
    values = list(itertools.chain.from_iterable(reply.values() for _, reply in found))
    slots, numbers = np.frombuffer(fields, np.uint8).reshape(-1, 2).T
    at = (first + slots) * slot_ms
    inside = (start <= at) & (at < end)
    tables = []
    for number in np.unique(numbers[inside]).tolist():
        own = inside & (numbers == number)
        packed = list(itertools.compress(values, own.tolist()))
        tables.append(unpack_rollups(by_number[number], at[own], packed))
    for number in {value[OPEN_SCHEMA_BYTE] for value in open_}:
        same = [value for value in open_ if value[OPEN_SCHEMA_BYTE] == number]
        tables.extend(roll_up(by_number[number], same, *range_) for range_ in wanted)
    return tables


def event(name: bytes, fields: dict[bytes, bytes]) -> DeviceEvent:
    """Return an entry of a device's stream of events."""
    text = name.decode()
    return DeviceEvent(text, int(text.partition("-")[0]), fields[b"kind"].decode(), fields[b"model"].decode())


def device(device: str, meta: dict[bytes, bytes], schemas: dict[bytes, bytes], since: int) -> Device | None:
    """Return a device from its hash and its schemas, without a latest reading from before `since` (Unix ms).

    None if it is not listed.
    """
    if b"first_seen" not in meta:
        return None
    text = {name.decode(): value.decode() for name, value in meta.items() if name in _TEXTS}
    latest = None
    by_number = _by_number(schemas)
    labels: Iterable[str] = text["labels"].split(",") if "labels" in text else ()
    model = text.get("model", "")
    if b"latest" in meta:
        at, number, speech, level_dbfs, scores = codec.unpack_latest(meta[b"latest"])
        schema = by_number[number]
        if at >= since:
            by_label = dict(zip(schema.labels, scores, strict=True))
            latest = Latest(at, "speech" if speech else "uncertain", by_label, level_dbfs)
        # A device that was erased while online says its labels again only when it connects.
        labels, model = labels or schema.labels, model or schema.model
    return Device(
        id=device,
        name=text.get("name", ""),
        state=text.get("state", "unknown"),
        labels=tuple(labels),
        model=model,
        version=text.get("version", ""),
        first_seen=int(meta[b"first_seen"]),
        last_seen=int(meta[b"last_seen"]) if b"last_seen" in meta else None,
        readings=int(meta.get(b"readings", 0)),
        generation=int(meta.get(b"gen", 0)),
        erased_at=int(meta[b"erased_at"]) if b"erased_at" in meta else None,
        latest=latest,
        health=json.loads(meta[b"health"]) if b"health" in meta else None,
    )


def _by_number(schemas: dict[bytes, bytes]) -> dict[int, Schema]:
    """Return schemas by number."""
    return {int(number): codec.parse_schema(text.decode()) for text, number in schemas.items()}
