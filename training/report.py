"""`moodwire report`: one page with plots of all trained recipes and of the peers."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from common import files
from models import bundle
from models.bundle import BundleError
from training import catalogue, elsewhere, plots, published, published_systems, results
from training.backgrounds import FLOORS, NOISES
from training.catalogue import CORPORA
from training.results import COMMON, Elsewhere, Latency, Result, ResultsError, Score
from training.settings import ReportSettings
from training.tables import Row, table

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
ELSEWHERE = """## Voices and rooms it was not made with

The shipped models on corpora that had no part in their training and to which nothing was tuned: `moodwire evaluate
--write` measures them. Each clip is heard in the middle of a window, once amid each of the six backgrounds. Only clips
with a label of the model count: calm and surprised of RAVDESS and boredom of EmoDB are left out. The rows of *its own*
corpora are those of the cross-validation, since all their speakers trained the shipped model. The interval is a
bootstrap over the speakers; *answered* is the share of windows at or above the model's threshold, *right of these*
their accuracy.
"""
LEVELS = """Medians over the clips, dBFS: *speech* is the RMS of the louder half of a clip's frames, *background*
that of the quietest tenth.
"""


def report(settings: ReportSettings) -> int:
    """Bring the results up to date and write the page; return the exit code, 2 where there is nothing to report."""
    try:
        _update(settings.runs_dir, settings.results_dir)
        found = _with_unique_names(results.read(settings.results_dir))
        latencies = results.read_latencies(settings.results_dir)
        kept = results.read_elsewhere(settings.results_dir)
        if not found:
            raise ResultsError(  # noqa: TRY301 - one place says what went wrong
                f"neither {settings.runs_dir} holds a finished training nor {settings.results_dir} any result"
            )
    except (BundleError, ResultsError) as error:
        print(f"moodwire report: {error}", file=sys.stderr)
        return 2
    shipped = {name: found for name, found in kept.items() if name not in published_systems.LISTED}
    parts = [INTRODUCTION, *_elsewhere(shipped)]
    if any(result.name in published_systems.LISTED for result in found):
        pictures = os.path.relpath(settings.results_dir, settings.published.parent)
        files.replace(settings.published, published.render(found, kept, latencies, _taught(), pictures).encode())
        for name, figure in published.pictures(found).items():
            plots.save(figure, settings.results_dir / f"{name}.png")
    found = [result for result in found if result.name not in published_systems.LISTED]
    for labels in sorted({result.labels for result in found}, key=len):
        systems = sorted((result for result in found if result.labels == labels), key=_uar, reverse=True)
        parts += _systems(labels, systems, latencies)
        parts += _saved(_figures(systems, latencies), labels, settings)
        parts += _confusion(systems) + _noises(systems)
    files.replace(settings.out, "\n".join(parts).encode())
    print(f"wrote {settings.out}: {len(found)} systems")
    return 0


def _taught() -> dict[str, str]:
    """Return the corpora that taught each shipped model, as its manifest tells."""
    manifests = [bundle.load(folder).manifest for folder in sorted(bundle.SHIPPED.iterdir()) if folder.is_dir()]
    return {manifest.name: catalogue.titles(manifest) for manifest in manifests}


def _elsewhere(kept: dict[str, dict[str, Elsewhere]]) -> list[str]:
    """Return the part of the page about other corpora than those that trained the models."""
    if not kept:
        return []
    rows = [
        {"model": model} | elsewhere.row(name, found)
        for model, corpora in kept.items()
        for name, found in sorted(corpora.items(), key=lambda item: list(CORPORA).index(item[0]))
    ]
    return [ELSEWHERE, table(rows), *_in_floors(kept), *_levels(kept)]


def _in_floors(kept: dict[str, dict[str, Elsewhere]]) -> list[str]:
    rows = [
        {
            "model": model,
            "recordings": CORPORA[name].title,
            "under every clip": FLOORS[floor].title,
            "UAR": f"{scores.uar:.1%}",
            "recall": elsewhere.recalls(scores.recall),
        }
        for model, corpora in kept.items()
        for name, found in corpora.items()
        for floor, scores in found.in_floors.items()
    ]
    return ["### With the same noise under every clip\n", table(rows)] if rows else []


def _levels(kept: dict[str, dict[str, Elsewhere]]) -> list[str]:
    most = max(kept.values(), key=lambda corpora: sum(len(found.levels) for found in corpora.values()))
    rows = [
        {"recordings": CORPORA[name].title} | elsewhere.level_row(label, level)
        for name, found in most.items()
        for label, level in found.levels.items()
    ]
    return ["### How loud the clips are\n", LEVELS, table(rows)] if rows else []


def _update(runs_dir: Path, results_dir: Path) -> None:
    kept = results.read(results_dir)
    for folder in sorted(path for path in runs_dir.glob("*") if path.is_dir()):
        if result := results.read_runs(folder):
            results.write(results_dir, folder.name, results.merged(kept.get(folder.name), result))


def _with_unique_names(kept: dict[str, Result]) -> list[Result]:
    """Return the results; those of recipes with the same name get the names of their files, which hold their hashes."""
    names = [result.name for result in kept.values()]
    named = {stem: result.name if names.count(result.name) == 1 else stem for stem, result in kept.items()}
    return [msgspec.structs.replace(result, name=named[stem]) for stem, result in kept.items()]


def _with_scores(systems: Sequence[Result]) -> list[Result]:
    return [result for result in systems if "speakers" in result.scores]


def _is_ours(result: Result) -> bool:
    return result.recipe is not None and "architecture" not in result.recipe["network"]


def _best(scored: Sequence[Result]) -> Result:
    """Return the one of ours, else of all, with the most blocks, then the most trainings, then the highest UAR."""

    def key(result: Result) -> tuple[int, int, float]:
        found = result.scores["speakers"]
        return len(found.uars), len(found.trainings), found.uar

    return max(filter(_is_ours, scored), default=None, key=key) or max(scored, key=key)


def _systems(labels: tuple[str, ...], systems: Sequence[Result], latencies: dict[str, Latency]) -> list[str]:
    return [
        f"## {', '.join(labels)}\n",
        table([_listeners_row(systems), *(_score_row(result) for result in systems)]),
        *(f"`{result.name}`: {result.about}\n" for result in systems if result.about),
        "### How large and how fast\n",
        table([_cost_row(result, latencies.get(result.name)) for result in systems if result.recipe]),
    ]


def _figures(systems: Sequence[Result], latencies: dict[str, Latency]) -> dict[str, Any]:
    """Draw the plots of systems with the same labels."""
    scored = _with_scores(systems)
    if not scored:
        return {}
    best = _best(scored)
    found = best.scores["speakers"]
    figures = {
        "reliability": plots.reliability(best.name, found),
        "groups": plots.groups(best.name, found, GROUPS),
        "risk-coverage": plots.risk_coverage(scored),
    }
    if sum(result.bytes_deflated is not None for result in scored) > 1:  # one point alone is no front
        figures["front"] = plots.front(scored, latencies)
    return figures


def _saved(figures: dict[str, Any], labels: tuple[str, ...], settings: ReportSettings) -> list[str]:
    """Save figures beside the results; return the lines that show them."""
    stem = "-".join(labels).lower()
    pictures = {name: settings.results_dir / f"{stem}-{name}.png" for name in figures}
    for name, figure in figures.items():
        plots.save(figure, pictures[name])
    return [f"![{file.stem}]({os.path.relpath(file, settings.out.parent)})\n" for file in pictures.values()]


def _confusion(systems: Sequence[Result]) -> list[str]:
    scored = _with_scores(systems)
    if not scored:
        return []
    best = _best(scored)
    pooled = best.scores["speakers"].pooled
    rows = [
        {"portrayed": label, "recall": f"{pooled['recall'][label]:.1%}"}
        | {f"heard as {heard}": str(count) for heard, count in zip(best.labels, counts, strict=True)}
        for label, counts in zip(best.labels, pooled["confusion"], strict=True)
    ]
    return [f"### What {best.name} takes for what\n", table(rows)]


def _noises(systems: Sequence[Result]) -> list[str]:
    def uar(result: Result, noise: str) -> str:
        return _percent(result.scores["speakers"].in_noise(noise))

    scored = [result for result in _with_scores(systems) if result.scores["speakers"].trainings[0].uar_in_noise]
    quiet = {"under the voice": "nothing, or 30 dB below"} | {result.name: f"{_uar(result):.1%}" for result in scored}
    rows = [
        {"under the voice": noise.title} | {result.name: uar(result, name) for result in scored}
        for name, noise in NOISES.items()
        if any(uar(result, name) for result in scored)
    ]
    return ["### In noise\n", table([quiet, *rows])] if rows else []


def _score_row(result: Result) -> Row:
    found = result.scores.get("speakers")
    leaky, sentences = result.scores.get("leaky"), result.scores.get("sentences")
    return {
        "system": result.name,
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


def _cost_row(result: Result, latency: Latency | None) -> Row:
    return {
        "system": result.name,
        "parameters": _count(result.parameters),
        "pruned": "" if result.sparsity is None else f"{result.sparsity:.0%}",
        "MACs": _millions(result.multiply_adds),
        "bytes": _count(result.bytes),
        "compressed": _count(result.bytes_deflated),
        "ms": f"{latency.ms:.2f}" if latency else "",
        "of the published": f"{latency.of_published:.2f}" if latency else "",
        "teachers": _teachers(result),
        "epochs": str(result.recipe["epochs"]) if result.recipe else "",
        "minutes": _mean(result.scores.get("speakers"), "minutes"),
    }


def _teachers(result: Result) -> str:
    teaching = result.recipe.get("teaching") if result.recipe else None
    return f"{teaching['seeds']} of {teaching['recipe']}" if teaching else ""


def _listeners_row(systems: Sequence[Result]) -> Row:
    """Return the row of the people who heard the same clips: from the recipe that was scored on most of them."""
    scores = [result.scores["speakers"] for result in systems if "speakers" in result.scores]
    asked = [
        {training.block: training.listeners for training in score.trainings if training.listeners} for score in scores
    ]
    best = max(asked, key=len, default={})
    nothing = dict.fromkeys(_score_row(systems[0]), "")
    if not best:
        return nothing | {"system": "people who heard the voice alone"}
    votes = sum(listeners["votes"] for listeners in best.values())
    accuracy = sum(listeners["accuracy"] * listeners["votes"] for listeners in best.values()) / votes
    return nothing | {
        "system": f"people who heard the voice alone, {votes:,} votes",
        "blocks": " ".join(map(str, sorted(best))),
        "UAR": _mean_and_deviation([listeners["uar"] for listeners in best.values()]),
        f"block {COMMON}": _percent(best.get(COMMON, {}).get("uar")),
        "accuracy": f"{accuracy:.1%}",
    }


def _uar(result: Result) -> float:
    found = result.scores.get("speakers")
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
