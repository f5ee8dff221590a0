"""What `moodwire train` was asked for: the recipe with the corpus and the labels of the command line, and its folds."""

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from training import recipe, recordings, splits
from training.catalogue import CORPORA
from training.corpora import Clip, CorpusError
from training.recipe import PeerRecipe, Recipe, RecipeError
from training.settings import TrainSettings
from training.splits import Fold

OWN = "own"
"""The recipe for recordings of one's own, if none is named."""


def plan(settings: TrainSettings) -> Recipe:
    """Return the recipe, with another corpus and other labels where they were asked for.

    Raises:
        RecipeError: the recipe is not valid, or such a corpus or such labels do not fit it.
        CorpusError: there is no such corpus.
    """
    found = recipe.load(settings.recipe or (OWN if settings.corpus else "ang-hap-neu"))
    if not (settings.corpus or settings.labels):
        return found
    corpora = (settings.corpus,) if settings.corpus else found.corpora
    labels = tuple(label.strip().upper() for label in (settings.labels or "").split(",") if label.strip())
    if settings.labels and len(set(labels)) < max(2, len(labels)):
        raise RecipeError(f"labels is {settings.labels!r}: name at least two, each once, with commas")
    if found.teaching or found.taught:
        raise RecipeError(f"{found.name} is taught what its labels are: choose another recipe, such as {OWN}")
    if settings.recipe in {None, OWN}:
        labels = labels or tuple(label for name in corpora for label in recordings.labels_of(name))
        if len(set(labels)) < 2:
            there = f"the label {labels[0]} alone" if labels else "no label"
            raise RecipeError(f"{', '.join(corpora)} has {there}: a model tells two labels or more apart")
    name = re.sub(r"[^a-z0-9]+", "-", Path(corpora[0]).stem.lower()).strip("-") or OWN
    try:
        return recipe.convert(
            {
                **msgspec.to_builtins(found),
                **({"name": f"{name[:60]}-1"} if settings.recipe in {None, OWN} else {}),
                "corpora": corpora,
                "labels": tuple(dict.fromkeys(labels)) or found.labels,
            }
        )
    except msgspec.ValidationError as error:
        raise RecipeError(f"the labels of {', '.join(corpora)} cannot be learned: {error}") from error


def held_out(settings: TrainSettings, plan: Recipe, clips: Sequence[Clip]) -> int:
    """Return the block that is held out if there is one fold alone.

    Raises:
        CorpusError: there is no such block.
    """
    there = _blocks(settings, clips)
    if settings.block is None:
        return plan.test_block if plan.test_block in there else there[-1]
    if settings.block not in there:
        raise CorpusError(f"block is {settings.block}: choose one of {', '.join(map(str, there))}")
    return settings.block


def folds(settings: TrainSettings, plan: Recipe, clips: Sequence[Clip]) -> list[Fold]:
    """Return the trainings that were asked for.

    Raises:
        CorpusError: there is no such block, or nobody knows who speaks.
    """
    every = settings.cross_validate or settings.release
    blocks = _blocks(settings, clips) if every else [held_out(settings, plan, clips)]
    return [Fold(block, plan.seed + number, settings.split) for block in blocks for number in range(settings.seeds)]


def _blocks(settings: TrainSettings, clips: Sequence[Clip]) -> list[int]:
    if settings.split == "order":
        return [1]
    if settings.split in splits.LEAKY:
        return list(range(1, splits.LEAKY_PARTS + 1))
    return sorted(splits.blocks_of(clips))


def makes_bundle(settings: TrainSettings, plan: Recipe) -> bool:
    """Return whether a training makes a bundle: by speaker; by file too if all recordings are one's own.

    Of one voice nothing else can be held out, and a device that hears this voice alone meets no stranger.
    """
    own = not any(name in CORPORA for name in plan.corpora)
    return settings.split == "speakers" or (settings.split == "leaky" and own)


def only_measured(plan: PeerRecipe) -> str:
    """Return a sentence about a system that no device can run."""
    assert plan.features is not None  # else a device can
    return f"{plan.name} is only measured and makes no bundle: it hears {plan.features.title}, which no device computes"
