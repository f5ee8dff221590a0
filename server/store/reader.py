"""Makes of the store's replies what is asked of it: readings, rollups, devices and what happened to them."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from server.store import codec
from server.store.rollups import OPEN_SCHEMA_BYTE, Resolution, Rollups, roll_up, unpack_rollups
from server.store.types import Device, DeviceEvent, Latest, Readings, Schema

_TEXTS = frozenset([b"name", b"state", b"labels", b"model", b"version"])


class Group(NamedTuple):
    """A key of rollups, and which of its slots are asked for."""

    level: Resolution
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
        for number in {value[codec.SCHEMA_BYTE] for value in values}:
            own = [value for value in values if value[codec.SCHEMA_BYTE] == number] if len(schemas) > 1 else values
            parts[number].append((hour, b"".join(own)))
    kinds = _kinds(schemas)
    tables = []
    for number, found in parts.items():
        table = codec.unpack_readings(kinds[number], found)
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
    waiting: list[bytes],
    groups: Iterable[tuple[Group, dict[bytes, bytes]]],
) -> list[Rollups]:
    """Return rollups, and the readings that wait to join them, in tables of one schema each.

    Args:
        schemas: Their numbers by their texts.
        wanted: Ranges (level, start, end), Unix ms.
        waiting: What is in `open`.
        groups: Keys with their slots.
    """
    kinds = _kinds(schemas)
    found = list(groups)
    sizes = [len(reply) for _, reply in found]
    whole = [(number * level.slots, level.slot_ms, start, end) for (level, number, start, end), _ in found]
    first, slot_ms, start, end = np.repeat(np.array(whole, np.int64).reshape(-1, 4), sizes, axis=0).T
    names = b"".join(itertools.chain.from_iterable(reply for _, reply in found))
    values = list(itertools.chain.from_iterable(reply.values() for _, reply in found))
    slots, kind_of = np.frombuffer(names, np.uint8).reshape(-1, 2).T
    at = (first + slots) * slot_ms
    inside = (start <= at) & (at < end)
    tables = []
    for schema in np.unique(kind_of[inside]).tolist():
        own = inside & (kind_of == schema)
        packed = list(itertools.compress(values, own.tolist()))
        tables.append(unpack_rollups(kinds[schema], at[own], packed))
    for schema in {value[OPEN_SCHEMA_BYTE] for value in waiting}:
        open_ = [value for value in waiting if value[OPEN_SCHEMA_BYTE] == schema]
        tables.extend(roll_up(kinds[schema], open_, *asked) for asked in wanted)
    return tables


def event(name: bytes, fields: dict[bytes, bytes]) -> DeviceEvent:
    """Return an entry of a device's stream of events."""
    text = name.decode()
    return DeviceEvent(text, int(text.partition("-")[0]), fields[b"kind"].decode(), fields[b"model"].decode())


def device(device: str, meta: dict[bytes, bytes], schemas: dict[bytes, bytes]) -> Device | None:
    """Return a device from its hash and its schemas, or None if it is not listed."""
    if b"first_seen" not in meta:
        return None
    text = {name.decode(): value.decode() for name, value in meta.items() if name in _TEXTS}
    latest = None
    kinds = _kinds(schemas)
    labels: Iterable[str] = text["labels"].split(",") if "labels" in text else ()
    model = text.get("model", "")
    if b"latest" in meta:
        at, number, speech, level_dbfs, scores = codec.unpack_latest(meta[b"latest"])
        kind = kinds[number]
        latest = Latest(
            at, "speech" if speech else "uncertain", dict(zip(kind.labels, scores, strict=True)), level_dbfs
        )
        # A device that was erased while it was there says its labels again only when it connects.
        labels, model = labels or kind.labels, model or kind.model
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


def _kinds(schemas: dict[bytes, bytes]) -> dict[int, Schema]:
    """Return schemas by their numbers."""
    return {int(number): codec.parse_schema(text.decode()) for text, number in schemas.items()}
