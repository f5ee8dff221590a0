"""The page of published systems: what they printed, what they are worth for strangers, and ours beside them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from training.catalogue import CORPORA, TAUGHT_BY
from training.results import Elsewhere, Result, Score
from training.tables import Row, table


class System(NamedTuple):
    """A published system and its re-runs here."""

    title: str
    printed: str
    """What its authors printed, and how they split."""
    recipes: tuple[str, ...]
    """Names of its recipes here."""
    ours: str
    """Name of our recipe for the same task."""
    wrong: str
    """What was wrong with its protocol, in plain words."""


SYSTEMS = (
    System(
        "The edge app: RAVDESS speech and song, eight emotions",
        "96 to 98 % of clips right; with all negative emotions merged into one of five classes 86 %",
        ("published-b", "published-b-five"),
        "ravdess-eight-1",
        "Its folders of pictures know no actors: the same person is on both sides, and so are pictures of the same "
        "recording. Some of its trainings begin with the weights of an earlier one that had other recordings held out, "
        "so the network has trained on what it is scored on. Five classes are scored with one class of 30 % of the "
        "clips, which accuracy rewards. Here its network is DenseNet-121 with a growth of 12 from random weights on "
        "small pictures, as ImageNet's weights and seven million weights are too much for two processor cores.",
    ),
    System(
        "The capstone: RAVDESS speech, sixteen classes (sex and emotion)",
        "80.8 % right, UAR 0.809, by a random split of rows after three rows were made of each recording",
        tuple(f"published-c-{name}" for name in ("nearest", "tree", "svm", "mlp", "gru", "lstm", "cnn")),
        "ravdess-sixteen-1",
        "Each recording is there three times: as it is, with noise, and slower and higher. The rows are split at "
        "random afterwards, so for nearly every row of the score another copy of the same recording has trained the "
        "model. It recognises the recording, not the emotion.",
    ),
    System(
        "The embedded-compiler demo: seven emotions, 162 averages",
        "no score; 1,283,591 parameters",
        ("published-d",),
        "ravdess-eight-1",
        "Corpus, split, batch and epochs are not stated, so nothing can be said for or against its protocol. Its "
        "network has fifteen times the parameters of ours.",
    ),
    System(
        "The university project: RAVDESS speech and song, eight emotions",
        "36 % right with three spectra, 26 % with MFCC, on the last fifth of the files, song before speech",
        ("published-e", "published-e-baseline"),
        "ravdess-eight-1",
        "Its score is nearly honest: most actors of its score were heard in training, but only singing. The epoch is "
        "chosen on the very clips of the score.",
    ),
)
LISTED = {name for system in SYSTEMS for name in (*system.recipes, system.ours)}
"""Recipes whose results are on this page and not on that of our models."""
INTRODUCTION = """# Published systems, under one protocol

`moodwire report` writes this page from `training/results/`. Each system is a recipe in `training/recipes/` that anybody
can repeat: `moodwire train NAME --cross-validate` holds out speakers; `--split copies`, `leaky` and `order` are the
splits of their authors ([training.md](training.md)). One seed. Percentages are UAR, the mean of the classes' recalls;
± is the standard deviation over the folds. **A leaky number tells nothing about a stranger's voice**: it is here to be
compared with the printed one.

Why 98 % and 36 % both come from the same recordings: a network that has heard an actor, or even another copy of the
same recording, recognises these and need not know the emotion. The split makes the number more than the network does.

The recordings here are those of 20 of the 24 actors, at 16 kHz, resampled to the 22.05 kHz of the authors.
"""
LEAKY = {"copies": "copies on both sides", "leaky": "by file", "order": "by order"}


def render(found: Sequence[Result], kept: Mapping[str, Mapping[str, Elsewhere]], pictures: str) -> str:
    """Return the page.

    Args:
        found: all results.
        kept: what models are worth on each corpus, as `results.read_elsewhere` returns it.
        pictures: path of the folder of pictures, from the page.
    """
    named = {result.name: result for result in found}
    parts, shown = [INTRODUCTION], set[str]()
    for system in SYSTEMS:
        there, ours = _there(system, named)
        missing = [name for name in system.recipes if name not in named]
        parts += [f"## {system.title}\n", f"Printed: {system.printed}.\n", f"{system.wrong}\n"]
        if rows := [_row(result) for result in there] + [_row(result, "ours, ") for result in ours]:
            parts.append(table(rows))
        if missing:
            parts.append(f"Not run yet: {', '.join(f'`{name}`' for name in missing)}.\n")
        best = _best([*there, *ours])
        if best and best.name not in shown:
            shown.add(best.name)
            parts += [f"### What {best.name} hears of strangers\n", table(_classes(best))]
            parts.append(f"![What {best.name} takes for what]({pictures}/{best.name}-confusion.png)\n")
    parts += _elsewhere(kept)
    return "\n".join(parts)


def pictured(found: Sequence[Result]) -> list[Result]:
    """Return the results whose confusion the page shows."""
    named = {result.name: result for result in found}
    best = [_best([*there, *ours]) for there, ours in (_there(system, named) for system in SYSTEMS)]
    return [result for result in best if result is not None]


def _there(system: System, named: Mapping[str, Result]) -> tuple[list[Result], list[Result]]:
    """Return the results of a system's recipes, and ours."""
    ours = [named[system.ours]] if system.ours in named else []
    return [named[name] for name in system.recipes if name in named], ours


def _row(result: Result, title: str = "") -> Row:
    scores = result.scores
    apart = scores.get("speakers")
    return {
        "system": f"{title}{result.name}",
        **{f"leaky, {words}": f"{scores[split].uar:.1%}" if split in scores else "" for split, words in LEAKY.items()},
        "speakers apart": _spread(apart) if apart else "",
        "folds": str(len(apart.uars)) if apart else "",
        "accuracy": f"{apart.mean('accuracy'):.1%}" if apart else "",
        "parameters": f"{result.parameters:,}" if result.parameters else "",
        "bytes": f"{result.bytes:,}" if result.bytes else "",
    }


def _spread(found: Score) -> str:
    deviation = f" ± {np.std(found.uars, ddof=1):.1%}" if len(found.uars) > 1 else ""
    return f"{found.uar:.1%}{deviation}"


def _best(there: Sequence[Result]) -> Result | None:
    """Return the system that is best with strangers."""
    scored = [result for result in there if "speakers" in result.scores]
    return max(scored, key=lambda result: result.scores["speakers"].uar, default=None)


def _classes(result: Result) -> list[Row]:
    """Return the report for each class."""
    confusion = np.array(result.scores["speakers"].pooled["confusion"])
    hits, said, true = confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)
    rows = []
    for place, label in enumerate(result.labels):
        others = confusion[place].copy()
        others[place] = 0
        rows.append(
            {
                "portrayed": label,
                "windows": f"{true[place]:,}",
                "recall": f"{hits[place] / max(1, true[place]):.1%}",
                "precision": f"{hits[place] / max(1, said[place]):.1%}",
                "F1": f"{2 * hits[place] / max(1, true[place] + said[place]):.2f}",
                "mostly taken for": result.labels[int(others.argmax())] if others.any() else "",
            }
        )
    return rows


def _elsewhere(kept: Mapping[str, Mapping[str, Elsewhere]]) -> list[str]:
    """Return the table of models on corpora that did not train them, as they are and after a baseline."""
    rows = [
        {
            "trained on": CORPORA[TAUGHT_BY].title,
            "model": model,
            "heard on": CORPORA[name].title,
            "UAR": f"{found.uar:.1%}",
            "after a baseline": f"{found.after_baseline.uar:.1%}" if found.after_baseline else "",
        }
        for model, corpora in kept.items()
        for name, found in corpora.items()
    ]
    if not rows:
        return []
    return [
        "## From one corpus to another\n",
        "The shipped models on corpora that did not train them, and by cross-validation on their own.\n",
        table(rows),
    ]
