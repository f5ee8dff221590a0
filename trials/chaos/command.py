"""`moodwire chaos`: runs schedules of faults and reports; `moodwire chaos report` writes what was kept as a page."""

import secrets
import signal
import sys
import tempfile
from pathlib import Path

import typed_settings as ts

from trials.chaos import plan, plot, results, shim
from trials.chaos.plan import Schedule
from trials.chaos.registry import FAULTS
from trials.chaos.results import Results, Row
from trials.chaos.trial import Trial

KEPT = Path(__file__).parent.parent / "results" / "chaos.json"
"""The results that docs/chaos.md shows."""
PAGE, PICTURE = "chaos.md", "chaos.png"
_SEEDS = 1_000_000


@ts.settings(frozen=True)
class ReportSettings:
    """Where results are kept, and where the page goes."""

    results: str = ts.option(default="", help="file that keeps results; a run adds its own, the report reads it")
    out: str = ts.option(default="", help=f"folder that gets the report, {PAGE} and {PICTURE}; empty: print it")


@ts.settings(frozen=True)
class ChaosSettings(ReportSettings):
    """Which faults strike what."""

    list: bool = ts.option(default=False, help="list the faults, and do nothing")
    only: str = ts.option(default="", help="strike with these faults only, one after the other; separated by commas")
    plan: str = ts.option(default="", help="strike as this TOML file says; docs/chaos.md has an example")
    schedules: int = ts.option(
        default=0, help="schedules made at random, each of one to four faults; 0: each fault by itself, once"
    )
    seed: int = ts.option(default=-1, help="seed of the first schedule at random, the others follow; -1: any")
    devices: int = ts.option(default=3, help="devices in each schedule, 1 to 100")
    for_s: float = ts.option(default=0.0, help="seconds that each schedule lasts at least, 0 to 86400")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value cannot be used; the message names it.
        """
        for name, least, most in (("devices", 1, 100), ("for_s", 0, 86_400), ("schedules", 0, _SEEDS)):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}; use {least} to {most}")
        if self.seed < -1:
            raise ValueError(f"seed is {self.seed}; use 0 or more")
        for name in filter(None, self.only.split(",")):
            if name not in FAULTS:
                raise ValueError(f"only has {name!r}, which is no fault; `moodwire chaos --list` shows all")


def chaos(settings: ChaosSettings) -> int:
    """Run schedules, and return 0 if nothing was lost, doubled or otherwise wrong, else 1; 2 for a plan of no use."""
    if settings.list:
        for fault in FAULTS.values():
            print(f"{fault.name:<32} {fault.what}")
        return 0
    try:
        kept = results.read(Path(settings.results)) if settings.results else Results()
        schedules = _schedules(settings)
    except ValueError as error:
        print(f"moodwire chaos: {error}", file=sys.stderr)
        return 2
    by_seed = not settings.plan and (settings.schedules > 0 or settings.seed >= 0)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all that was started is ended
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        trial = Trial(Path(folder), shim.build(Path(folder)))
        try:
            for schedule in schedules:
                row = results.row_of(trial.run(schedule), by_seed=by_seed)
                rows.append(row)
                print(_line(row), flush=True)
                if settings.results:
                    _add(kept, row, by_seed=by_seed)
                    results.write(Path(settings.results), kept)
        finally:
            trial.close()
    print()
    _publish(settings, Results((), tuple(rows)) if by_seed else Results(tuple(rows)))
    failed = [row for row in rows if not row.is_right]
    for row in failed:
        print(f"wrong: {_again(settings, row)}", file=sys.stderr)
    return 1 if failed else 0


def report(settings: ReportSettings) -> int:
    """Write the page of kept results, and return 0; 2 if there are none."""
    path = Path(settings.results) if settings.results else KEPT
    try:
        kept = results.read(path)
    except ValueError as error:
        print(f"moodwire chaos report: {error}", file=sys.stderr)
        return 2
    if not kept.alone and not kept.at_random:
        print(f"moodwire chaos report: {path} keeps no results; run moodwire chaos --results {path}", file=sys.stderr)
        return 2
    _publish(settings, kept)
    return 0


def _schedules(settings: ChaosSettings) -> list[Schedule]:
    """Return what to run.

    Raises:
        ValueError: the plan cannot be used.
    """
    if settings.plan:
        return plan.read(Path(settings.plan))
    if settings.schedules or settings.seed >= 0:
        first = settings.seed if settings.seed >= 0 else secrets.randbelow(_SEEDS)
        seeds = range(first, first + max(1, settings.schedules))
        return [plan.at_random(seed, settings.devices, settings.for_s) for seed in seeds]
    alone = plan.each_fault_alone(settings.devices, settings.for_s)
    wanted = [name for name in settings.only.split(",") if name]
    return [schedule for schedule in alone if not wanted or schedule.name in wanted]


def _add(kept: Results, row: Row, *, by_seed: bool) -> None:
    """Put a row in the place of an earlier one of the same seed or schedule."""
    if by_seed:
        rows = [*(one for one in kept.at_random if one.seed != row.seed), row]
        kept.at_random = tuple(sorted(rows, key=lambda one: one.seed))
    else:
        rows = [*(one for one in kept.alone if one.faults != row.faults), row]
        kept.alone = tuple(sorted(rows, key=lambda one: one.seed))


def _publish(settings: ReportSettings, found: Results) -> None:
    """Write the page and the picture, or print the page."""
    text = results.page(found)
    if not settings.out:
        print(text)
        return
    folder = Path(settings.out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(text)
    if found.alone:
        plot.draw(found.alone, folder / PICTURE)
    print(f"the report is {folder / PAGE}")


def _line(row: Row) -> str:
    """Return what became of one schedule, for people who wait."""
    name = f"seed {row.seed}: " if row.schedule is None else ""
    said = (
        f"{'right' if row.is_right else 'WRONG'}  {name}{' + '.join(row.faults) or 'nothing'}: "
        f"{row.produced} produced, {row.confirmed} confirmed, {row.stored} stored, {sum(row.given_up.values())} given "
        f"up, {row.lost} lost, {row.doubled} doubled, {row.out_of_order} out of order, {row.recovered_s} s to recover"
    )
    notes = [*row.wrong, *(f"{fault} was left out: {reason}" for fault, reason in row.not_here.items())]
    return "\n".join([said, *(f"       {note}" for note in notes)])


def _again(settings: ChaosSettings, row: Row) -> str:
    """Return the command that repeats a schedule."""
    if row.schedule is None:
        return f"moodwire chaos --seed {row.seed} --devices {settings.devices} --for-s {settings.for_s:g}"
    if settings.plan:
        return f"moodwire chaos --plan {settings.plan}"
    return f"moodwire chaos --only {row.faults[0]} --devices {settings.devices} --for-s {settings.for_s:g}"
