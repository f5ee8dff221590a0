"""What `moodwire report` does: one table of every recipe that was trained, from the run folders."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models import bundle
from models.bundle import BundleError, Manifest
from training import recipe, score
from training.recipe import Recipe, RecipeError
from training.score import Answers
from training.settings import ReportSettings

INTRODUCTION = """# Results

`moodwire report` writes this page from the run folders. Every row is a recipe, trained anew for each fold and seed;
the score is that of the int8 files on the speakers held out, each clip whole in the middle of a window, amid six
backgrounds. UAR is the mean of the classes' recalls; ± is the standard deviation over the blocks of speakers held out
(seeds averaged first). Everything after it is counted over all folds and seeds together. Rows that lack a block cannot
be compared with those that have it: the blocks differ in how hard they are.

| recipe | differs from the default in | blocks | seeds | UAR | float | women | men | ECE | UAR of the surest 70 % \
| bytes | deflated | minutes |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


class Run(NamedTuple):
    """One finished training."""

    block: str
    seed: str
    recipe: Recipe
    manifest: Manifest
    answers: Answers
    minutes: float


def report(settings: ReportSettings) -> int:
    """Write the page; return the exit code, 2 where there is nothing to report."""
    try:
        default = recipe.load("ang-hap-neu")
        groups = [
            (folder.name, runs) for folder in sorted(settings.runs_dir.glob("*")) if (runs := list(_runs(folder)))
        ]
    except (RecipeError, BundleError) as error:
        print(f"moodwire report: {error}", file=sys.stderr)
        return 2
    if not groups:
        print(f"moodwire report: {settings.runs_dir} holds no finished training", file=sys.stderr)
        return 2
    rows = sorted(((_score(runs), _row(name, runs, default)) for name, runs in groups), reverse=True)
    settings.out.write_text(INTRODUCTION + "".join(row + "\n" for _, row in rows), encoding="utf-8")
    print(f"wrote {settings.out}: {len(groups)} recipes, {sum(len(runs) for _, runs in groups)} trainings")
    return 0


def _runs(folder: Path) -> Iterator[Run]:
    for place in sorted(folder.glob("block-*-seed-*")):
        if (place / "manifest.json").is_file() and (place / score.FILE).is_file():
            _, block, _, seed = place.name.split("-")
            config = msgspec.json.decode((place / "config.json").read_bytes())
            with np.load(place / score.FILE) as found:
                answers = Answers(**found)
            curves = [msgspec.json.decode(line) for line in (place / "curves.jsonl").read_bytes().splitlines()]
            minutes = sum(epoch["seconds"] for epoch in curves) / 60
            plan = msgspec.convert(config["recipe"], Recipe)
            yield Run(block, seed, plan, bundle.load(place).manifest, answers, minutes)


def _score(runs: Sequence[Run]) -> float:
    return float(np.mean(_by_block(runs)))


def _by_block(runs: Sequence[Run]) -> list[float]:
    return [
        float(np.mean([run.manifest.measured["uar"] for run in runs if run.block == block]))
        for block in sorted({run.block for run in runs})
    ]


def _row(name: str, runs: Sequence[Run], default: Recipe) -> str:
    blocks = _by_block(runs)
    pooled = Answers(*(np.concatenate(parts) for parts in zip(*(run.answers for run in runs), strict=True)))
    found = score.describe(pooled, runs[0].recipe.labels)
    spread = f" ± {np.std(blocks, ddof=1):.1%}" if len(blocks) > 1 else ""
    cells = (
        name,
        ", ".join(_differences(runs[0].recipe, default)),
        " ".join(sorted({run.block for run in runs})),
        str(len({run.seed for run in runs})),
        f"{np.mean(blocks):.1%}{spread}",
        f"{np.mean([run.manifest.measured['float_uar'] for run in runs]):.1%}",
        f"{found['uar_by_sex'].get('Female', np.nan):.1%}",
        f"{found['uar_by_sex'].get('Male', np.nan):.1%}",
        f"{found['ece']:.3f}",
        f"{found['uar_by_coverage']['0.7']:.1%}",
        f"{np.mean([run.manifest.measured['bytes'] for run in runs]):,.0f}",
        f"{np.mean([run.manifest.measured['bytes_deflated'] for run in runs]):,.0f}",
        f"{np.mean([run.minutes for run in runs]):.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def _differences(plan: Recipe, default: Recipe) -> list[str]:
    here, there = _flat(msgspec.to_builtins(plan)), _flat(msgspec.to_builtins(default))
    return [f"{name} {_short(value)}" for name, value in here.items() if name != "name" and there.get(name) != value]


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat


def _short(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}"
