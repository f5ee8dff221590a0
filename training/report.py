"""What `moodwire report` does: one page of every recipe that was trained, and of the peers, with its plots."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.bundle import BundleError
from training import plots, results
from training.backgrounds import NOISES
from training.results import COMMON, Latency, Result, ResultsError, Score
from training.settings import ReportSettings

Row = dict[str, str]
"""Cells of a table by the names of their columns."""

GROUPS = {
    "uar_by_sex": "sex",
    "uar_by_age": "age",
    "uar_by_intensity": "intensity",
    "uar_by_sentence": "sentence",
}
INTRODUCTION = """# Results

`moodwire report` writes this page and its plots from `training/results/`, which it first brings up to date from the run
folders. [docs/training.md](../docs/training.md) says what each column means.

Every row is trained anew for each fold and seed. The score is that of the exported files on speakers they never heard,
each clip whole in the middle of a window, amid six backgrounds. UAR is the mean of the classes' recalls; ± is the
standard deviation over the blocks of speakers held out (seeds averaged first). Everything else is counted over all
folds and seeds together; the interval is a bootstrap over the speakers. Rows that lack a block cannot be compared with
those that have it, as the blocks differ in how hard they are; only the column of block 4 can be. **Leaky** is the UAR
when files are split at random, so that the speakers of the score have trained the model too: it is there to be compared
with published numbers, and tells nothing about strangers. New sentences: the UAR when speakers and what they say are
both unheard.
"""


def report(settings: ReportSettings) -> int:
    """Bring the results up to date and write the page; return the exit code, 2 where there is nothing to report."""
    try:
        _update(settings.runs_dir, settings.results_dir)
        found = _told_apart(results.read(settings.results_dir))
        latencies = results.read_latencies(settings.results_dir)
        if not found:
            raise ResultsError(  # noqa: TRY301 - one place says what went wrong
                f"neither {settings.runs_dir} holds a finished training nor {settings.results_dir} any result"
            )
    except (BundleError, ResultsError) as error:
        print(f"moodwire report: {error}", file=sys.stderr)
        return 2
    parts = [INTRODUCTION]
    for labels in sorted({one.labels for one in found}, key=len):
        alike = sorted((one for one in found if one.labels == labels), key=_uar, reverse=True)
        parts += _systems(labels, alike, latencies)
        parts += _shown(_figures(alike, latencies), labels, settings)
        parts += _confusion(alike) + _noises(alike)
    settings.out.write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote {settings.out}: {len(found)} systems")
    return 0


def _update(runs_dir: Path, results_dir: Path) -> None:
    kept = results.read(results_dir)
    for folder in sorted(path for path in runs_dir.glob("*") if path.is_dir()):
        if result := results.of_runs(folder):
            results.write(results_dir, folder.name, results.newest(kept.get(folder.name), result))


def _told_apart(kept: dict[str, Result]) -> list[Result]:
    """Return the results; where several recipes have one name, by the names of their files, which hold their hashes."""
    names = [one.name for one in kept.values()]
    return [
        one if names.count(one.name) == 1 else msgspec.structs.replace(one, name=stem) for stem, one in kept.items()
    ]


def _scored(alike: Sequence[Result]) -> list[Result]:
    return [one for one in alike if "speakers" in one.scores]


def _ours(alike: Sequence[Result]) -> list[Result]:
    return [one for one in _scored(alike) if one.told and "architecture" not in one.told["network"]]


def _best(scored: Sequence[Result]) -> Result:
    """Return ours, else anyone's, with the most blocks, then the most trainings, then the highest UAR."""

    def sure(one: Result) -> tuple[int, int, float]:
        found = one.scores["speakers"]
        return len(found.uars), len(found.trainings), found.uar

    return max(_ours(scored) or scored, key=sure)


def _systems(labels: tuple[str, ...], alike: Sequence[Result], latencies: dict[str, Latency]) -> list[str]:
    return [
        f"## {', '.join(labels)}\n",
        _table([_listeners(alike), *(_worth(one) for one in alike)]),
        *(f"`{one.name}`: {one.about}\n" for one in alike if one.about),
        "### How large and how fast\n",
        _table([_cost(one, latencies.get(one.name)) for one in alike if one.told]),
    ]


def _figures(alike: Sequence[Result], latencies: dict[str, Latency]) -> dict[str, Any]:
    """Draw the plots of systems with the same labels."""
    scored = _scored(alike)
    if not scored:
        return {}
    best = _best(scored)
    found = best.scores["speakers"]
    figures = {
        "reliability": plots.reliability(best.name, found),
        "groups": plots.groups(best.name, found, GROUPS),
        "risk-coverage": plots.risk_coverage(scored),
    }
    if sum(one.bytes_deflated is not None for one in scored) > 1:  # one point alone is no front
        figures["front"] = plots.front(scored, latencies)
    return figures


def _shown(figures: dict[str, Any], labels: tuple[str, ...], settings: ReportSettings) -> list[str]:
    """Save figures beside the results; return the lines that show them."""
    stem = "-".join(labels).lower()
    files = {name: settings.results_dir / f"{stem}-{name}.png" for name in figures}
    for name, figure in figures.items():
        plots.save(figure, files[name])
    return [f"![{file.stem}]({os.path.relpath(file, settings.out.parent)})\n" for file in files.values()]


def _confusion(alike: Sequence[Result]) -> list[str]:
    scored = _scored(alike)
    if not scored:
        return []
    best = _best(scored)
    pooled = best.scores["speakers"].pooled
    rows = [
        {"portrayed": label, "recall": f"{pooled['recall'][label]:.1%}"}
        | {f"heard as {heard}": str(count) for heard, count in zip(best.labels, counts, strict=True)}
        for label, counts in zip(best.labels, pooled["confusion"], strict=True)
    ]
    return [f"### What {best.name} takes for what\n", _table(rows)]


def _noises(alike: Sequence[Result]) -> list[str]:
    def uar(one: Result, noise: str) -> str:
        return _percent(one.scores["speakers"].in_noise(noise))

    scored = [one for one in _scored(alike) if one.scores["speakers"].trainings[0].uar_in_noise]
    quiet = {"under the voice": "nothing, or 30 dB below"} | {one.name: f"{_uar(one):.1%}" for one in scored}
    rows = [
        {"under the voice": noise.title} | {one.name: uar(one, name) for one in scored}
        for name, noise in NOISES.items()
        if any(uar(one, name) for one in scored)
    ]
    return ["### In noise\n", _table([quiet, *rows])] if rows else []


def _worth(one: Result) -> Row:
    found = one.scores.get("speakers")
    leaky, sentences = one.scores.get("leaky"), one.scores.get("sentences")
    return {
        "system": one.name,
        "blocks": " ".join(map(str, sorted({training.block for training in found.trainings}))) if found else "",
        "seeds": str(len({training.seed for training in found.trainings})) if found else "",
        "taught by": _mean(found, "speakers"),
        "UAR": _mean_and_deviation(found.uars) if found else "",
        f"block {COMMON}": _percent(found.of_block(COMMON) if found else None),
        "95 % interval": "{:.1%} to {:.1%}".format(*found.pooled["uar_interval"]) if found else "",
        "leaky": f"{leaky.uar:.1%}" if leaky else "",
        "new sentences": f"{sentences.uar:.1%}" if sentences else "",
        "float": _percent(found.mean("float_uar") if found else None),
        "accuracy": _percent(found.mean("accuracy") if found else None),
        "ECE": f"{found.pooled['ece']:.3f}" if found else "",
        "UAR of the surest 70 %": f"{found.pooled['uar_by_coverage']['0.7']:.1%}" if found else "",
    }


def _cost(one: Result, latency: Latency | None) -> Row:
    return {
        "system": one.name,
        "parameters": _count(one.parameters),
        "pruned": "" if one.sparsity is None else f"{one.sparsity:.0%}",
        "MACs": _millions(one.multiply_adds),
        "bytes": _count(one.bytes),
        "compressed": _count(one.bytes_deflated),
        "ms": f"{latency.ms:.2f}" if latency else "",
        "of the published": f"{latency.of_published:.2f}" if latency else "",
        "teachers": _teachers(one),
        "epochs": str(one.told["epochs"]) if one.told else "",
        "minutes": _mean(one.scores.get("speakers"), "minutes"),
    }


def _teachers(one: Result) -> str:
    teaching = one.told.get("teaching") if one.told else None
    return f"{teaching['seeds']} of {teaching['recipe']}" if teaching else ""


def _listeners(alike: Sequence[Result]) -> Row:
    """Return the row of the people who heard the same clips: from the recipe that was scored on most of them."""
    scores = [one.scores["speakers"] for one in alike if "speakers" in one.scores]
    asked = [
        {training.block: training.listeners for training in score.trainings if training.listeners} for score in scores
    ]
    best = max(asked, key=len, default={})
    nothing = dict.fromkeys(_worth(alike[0]), "")
    if not best:
        return nothing | {"system": "people who heard the voice alone"}
    votes = sum(heard["votes"] for heard in best.values())
    accuracy = sum(heard["accuracy"] * heard["votes"] for heard in best.values()) / votes
    return nothing | {
        "system": f"people who heard the voice alone, {votes:,} votes",
        "blocks": " ".join(map(str, sorted(best))),
        "UAR": _mean_and_deviation([heard["uar"] for heard in best.values()]),
        f"block {COMMON}": _percent(best.get(COMMON, {}).get("uar")),
        "accuracy": f"{accuracy:.1%}",
    }


def _table(rows: Sequence[Row]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _uar(one: Result) -> float:
    found = one.scores.get("speakers")
    return found.uar if found else 0.0


def _mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.1%}" if len(values) > 1 else ""
    return f"{np.mean(values):.1%}{deviation}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _millions(value: int | None) -> str:
    return f"{value / 1e6:.1f} M" if value else ""


def _mean(found: Score | None, name: str) -> str:
    mean = found.mean(name) if found else None
    return "" if mean is None else f"{mean:.0f}"
