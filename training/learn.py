"""One network from clips, in its run folder: after its teachers, if it has any."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from training import corpora, fit, teach
from training import recipe as recipes
from training.batches import Batches, Lessons
from training.corpora import EMOTIONS, Clip
from training.features import Material
from training.recipe import Recipe, RecipeError
from training.splits import Fold, Split
from training.teach import Teacher

CONFIG = "config.json"
"""In a run folder: of what recipe and recordings it is."""


def learn(material: Material, recipe: Recipe, split: Split, fold: Fold, runs_dir: Path) -> Path:
    """Return the run folder of a fold with its finished network; a training that was stopped goes on.

    Args:
        material: what there is to hear.
        recipe: what to do.
        split: which of it to learn from.
        fold: says which folder and which seed.
        runs_dir: where the trainings are kept, also those of the teachers.

    Raises:
        RecipeError: a run folder is that of another recipe, or the teachers cannot teach.
    """
    folder = runs_dir / recipe.folder / fold.folder
    data = corpora.digest(split.train, votes=recipe.votes > 0)
    _claim(folder, recipe, data)
    if not fit.finished(folder):
        _take_over(folder, recipe, data, sorted(runs_dir.glob(f"*/{fold.folder}")))
    if not fit.finished(folder):
        teachers = _teachers(material, recipe, split, fold, runs_dir)
        banks = [material.bank(speed) for speed in recipe.augment.speeds]
        clips = material.numbers(split.train)
        said = teach.answers(teachers, banks, clips, recipe)
        batches = Batches(banks, Lessons(clips, _truth(split.train, recipe), said), recipe, fold.seed)
        starts = recipe.teaching and recipe.teaching.starts
        fit.fit(batches, recipe, fold.seed, folder, teachers[fold.seed % len(teachers)].folder if starts else None)
    return folder


def _teachers(material: Material, recipe: Recipe, split: Split, fold: Fold, runs_dir: Path) -> list[Teacher]:
    plan = recipes.teacher(recipe)
    if recipe.teaching is None or plan is None:
        return []
    theirs = msgspec.structs.replace(split, train=[clip for clip in split.train if clip.label in plan.heard])
    seeds = range(plan.seed, plan.seed + recipe.teaching.seeds)
    return [Teacher(plan, learn(material, plan, theirs, fold._replace(seed=seed), runs_dir)) for seed in seeds]


def _take_over(folder: Path, recipe: Recipe, data: str, others: Sequence[Path]) -> None:
    """Copy what another recipe's training has learned, if that only asks its network for other labels."""
    for other in others:
        if fit.finished(other) and _trained_alike(other / CONFIG, recipe, data):
            shutil.copyfile(other / fit.CURVES, folder / fit.CURVES)
            shutil.copyfile(other / fit.WEIGHTS, folder / fit.WEIGHTS)
            return


def _trained_alike(config: Path, recipe: Recipe, data: str) -> bool:
    try:
        theirs, heard = _told(config)
    except (OSError, RecipeError):  # nothing to take over
        return False
    return heard == data and theirs.training == recipe.training


def _truth(clips: Sequence[Clip], recipe: Recipe) -> NDArray[np.float32]:
    """Return what each clip portrays and, if the recipe asks for that, what people heard, shape (clips, outputs).

    Nothing for a label that is not learned, nor where nobody was asked.
    """
    portrayed = np.array([[clip.label == label for label in recipe.learned] for clip in clips], np.float32)
    if not recipe.votes:
        return portrayed
    votes = np.array([[clip.votes.get(emotion, 0) for emotion in EMOTIONS] for clip in clips], np.float32)
    return np.concatenate([portrayed, votes / np.maximum(1, votes.sum(axis=1, keepdims=True))], axis=1)


def _claim(folder: Path, recipe: Recipe, data: str) -> None:
    """Write down what is trained here and of what recordings, and drop what was trained of others.

    Raises:
        RecipeError: the folder is that of another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / CONFIG
    checkpoint, weights = folder / fit.CHECKPOINT, folder / fit.WEIGHTS
    if file.is_file():
        before, heard = _told(file)
        if before.sha256 != recipe.sha256:
            raise RecipeError(
                f"{folder} is the run folder of another recipe than {recipe.name}: move it away, or give another "
                "runs_dir"
            )
        if heard != data:
            shutil.rmtree(checkpoint, ignore_errors=True)
            weights.unlink(missing_ok=True)
    if not checkpoint.is_dir() and not weights.is_file():
        (folder / fit.CURVES).unlink(missing_ok=True)
    told = msgspec.json.encode({"data_sha256": data, "recipe": recipe})
    file.write_bytes(msgspec.json.format(told, indent=2))


def _told(config: Path) -> tuple[Recipe, str]:
    """Return of what recipe a run folder is, and the hash of the recordings.

    Raises:
        RecipeError: it does not tell.
    """
    try:
        told = msgspec.json.decode(config.read_bytes())
        return recipes.convert(told["recipe"]), str(told["data_sha256"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise RecipeError(f"{config} tells no recipe: {error}; move {config.parent} away") from error
