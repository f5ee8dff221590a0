"""What schedules came to, as it is kept in a file, and the report in Markdown that is made of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from broker import messages
from common import files
from trials.chaos.plan import Schedule
from trials.chaos.registry import FAULTS
from trials.chaos.trial import Result


class Row(msgspec.Struct, kw_only=True):
    """One schedule; the numbers are those of `reconcile.Count`."""

    seed: int
    schedule: Schedule | None = None
    """None for one that the seed gives."""
    faults: tuple[str, ...]
    valkey: bool
    produced: int
    confirmed: int
    stored: int
    given_up: dict[str, int]
    lost: int
    doubled: int
    out_of_order: int
    recovered_s: float
    at_stake: int
    took_s: float
    wrong: tuple[str, ...] = ()
    not_here: dict[str, str] = {}
    happenings: tuple[tuple[str, float, float], ...] = ()
    waiting: tuple[tuple[float, int], ...] = ()

    @property
    def is_right(self) -> bool:
        """Return whether nothing is lost, doubled or otherwise wrong."""
        return not (self.lost or self.doubled or self.wrong)


class Results(msgspec.Struct):
    """What `moodwire chaos` has kept."""

    alone: tuple[Row, ...] = ()
    """Each fault by itself, or the schedules of a plan."""
    at_random: tuple[Row, ...] = ()
    """By seed."""


def row_of(result: Result, *, by_seed: bool) -> Row:
    """Return what is kept of a result; of a schedule that a seed gives, no timeline."""
    count, schedule = result.count, result.schedule
    return Row(
        seed=schedule.seed,
        schedule=None if by_seed else schedule,
        faults=tuple(step.fault for step in schedule.step),
        valkey=schedule.valkey,
        produced=count.produced,
        confirmed=count.confirmed,
        stored=count.stored,
        given_up=dict(count.given_up),
        lost=count.lost,
        doubled=count.doubled,
        out_of_order=count.out_of_order,
        recovered_s=round(count.recovered_s, 1),
        at_stake=count.at_stake,
        took_s=round(result.took_s, 1),
        wrong=tuple(count.wrong),
        not_here=result.not_here,
        happenings=() if by_seed else tuple((one.fault, one.start_s, one.end_s) for one in result.happenings),
        waiting=() if by_seed else tuple(result.waiting),
    )


def read(path: Path) -> Results:
    """Return what a file keeps; nothing if it is not there.

    Raises:
        ValueError: it is not such a file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results)
    except FileNotFoundError:
        return Results()
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"results {path} cannot be read: {error}") from error


def write(path: Path, results: Results) -> None:
    """Keep results in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f'"{name}": [\n' + ",\n".join(msgspec.json.encode(row).decode() for row in getattr(results, name)) + "\n]"
        for name in Results.__struct_fields__
    ]
    files.replace(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


_COLUMNS = ("produced", "confirmed", "stored", "given up", "lost", "doubled", "out of order", "s to recover")
_HEAD = "| {} | " + " | ".join(_COLUMNS) + " |\n|---|" + "---:|" * len(_COLUMNS) + "\n"


_PLAN = """
## A plan

`moodwire chaos --plan FILE` takes schedules from a TOML file, so that a fault of your own can be repeated:

```toml
[[schedule]]
devices = 4
per_s = 20          # readings a second of each device
valkey = false      # true: the store is Valkey, even if Redis is installed

[[schedule.step]]
fault = "store-killed"
at_s = 1.0          # from the first confirmed records
for_s = 2.0

[[schedule.step]]
fault = "device-power-cut"
at_s = 1.5
for_s = 0.5
device = 2
```

`moodwire chaos --list` names the faults. `--schedules N --seed S` makes N schedules at random, each from its seed.

## What is not covered

- A real power cut. Instead, what had not been synchronised is cut off: of the store's file by what its own calls of
  `fsync` had reached (a preloaded library notes it), of the device's outbox by what SQLite had copied from its log.
- Loss of packets: the networks are relays, which delay, swallow and break connections. TCP hides single packets.
- A full disk is a limit on the size of files (`RLIMIT_FSIZE`): writes fail with `EFBIG` instead of `ENOSPC`.
- A read-only card takes root and the right to mount, or a user who is not root. Clocks and disks of the store take a C
  compiler; the clock of the store takes a `redis-server`.
- The outbox tries a disk that failed again after 2 s; outside of this trial after a minute.
- A Redis Cluster, amqtt, TLS and MQTT 5.
"""
_INTRODUCTION = """# What faults cost

Written by `moodwire chaos report`: what `moodwire chaos` measured with Mosquitto, the store, ingest, REST and devices
with the real outbox and session, each in a process of its own. Every record carries its number, so each is reconciled
by itself.

- **produced**: an outbox has taken the record.
- **confirmed**: the device was told that it is on the server's disk.
- **stored**: it is in the store.
- **given up**: it is not stored, for a cause that the fault gives: someone erased it, the outbox was deleted.
- **lost**: it is not stored, and there is no such cause. Whatever was confirmed is counted here if it is missing.
- **doubled**: it is stored twice, or counted twice in a counter or a rollup.
- **out of order**: it has an earlier date than a reading that the same process made before it; a clock that is set back
  does that.
- **s to recover**: seconds from the end of the fault until the last record from before it was confirmed.

The command ends with 1 if anything is lost, doubled or otherwise wrong, and prints how to repeat it.
"""


def page(results: Results) -> str:
    """Return results as a page in Markdown, without the picture's file."""
    parts = [_INTRODUCTION]
    if results.alone:
        parts.append("\n## One fault at a time\n\n`moodwire chaos`\n\n" + table(results.alone))
        parts.append("\n![Records that wait, and which fault lasted when](chaos.png)\n")
        parts.append(_list("Given up, by cause:", given_up(results.alone)))
        parts.append(_list("What was wrong:", _wrong(results.alone)))
        parts.append(_list("Left out, because this machine cannot make them:", not_here(results.alone)))
    if results.at_random:
        seeds = sorted(row.seed for row in results.at_random)
        parts.append(
            f"\n## Up to four faults at random\n\n{len(seeds):,} schedules with the seeds {_ranges(seeds)}; a schedule "
            "is counted in the row of each of its faults.\n\n" + table_by_fault(results.at_random)
        )
        parts.append(_list("Given up, by cause:", given_up(results.at_random)))
        parts.append(_list("What was wrong:", _wrong(results.at_random)))
    return "".join([*parts, _PLAN])


def _list(title: str, lines: str) -> str:
    return f"\n{title}\n\n{lines}" if lines else ""


def _wrong(rows: Sequence[Row]) -> str:
    return "".join(
        f"- {'' if row.schedule else f'seed {row.seed}: '}{' + '.join(row.faults)}: {'; '.join(row.wrong)}\n"
        for row in rows
        if not row.is_right
    )


def _ranges(seeds: list[int]) -> str:
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in messages.ranges(seeds))


def table(rows: Sequence[Row]) -> str:
    """Return a table in Markdown, a schedule in each row."""
    lines = [_line(" + ".join(row.faults) or "nothing", [row]) for row in rows if not row.not_here]
    return _HEAD.format("fault") + "".join(lines) + _line("**all**", rows)


def table_by_fault(rows: Sequence[Row]) -> str:
    """Return a table in Markdown of schedules at random, a fault in each row: it sums those in which it struck."""
    lines = []
    for name in FAULTS:
        struck = [row for row in rows if name in row.faults and name not in row.not_here]
        if struck:
            lines.append(_line(f"{name} ({len(struck)})", struck))
    return _HEAD.format("fault (schedules)") + "".join(lines) + _line(f"**all** ({len(rows)})", rows)


def given_up(rows: Sequence[Row]) -> str:
    """Return what records were given up for, as a list in Markdown; empty if none were."""
    causes: Counter[str] = Counter()
    for row in rows:
        causes.update(row.given_up)
    return "".join(f"- {cause}: {count:,}\n" for cause, count in causes.most_common())


def not_here(rows: Sequence[Row]) -> str:
    """Return which faults could not be made, as a list in Markdown; empty if all could."""
    found = {name: reason for row in rows for name, reason in row.not_here.items()}
    return "".join(f"- {name}: {reason}\n" for name, reason in found.items())


def _line(name: str, rows: Sequence[Row]) -> str:
    sums = [sum(getattr(row, field) for row in rows) for field in ("produced", "confirmed", "stored")]
    sums.append(sum(sum(row.given_up.values()) for row in rows))
    sums += [sum(getattr(row, field) for row in rows) for field in ("lost", "doubled", "out_of_order")]
    recovered_s = max((row.recovered_s for row in rows), default=0.0)
    return f"| {name} | " + " | ".join(f"{number:,}" for number in sums) + f" | {recovered_s:.1f} |\n"
