"""One network from clips, in its run folder: after its teachers, if it has any."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from training import corpora, features, fit
from training import recipe as recipes
from training.backgrounds import BACKGROUNDS
from training.batches import Batches
from training.corpora import Clip
from training.features import Material
from training.fit import Heard, Lesson
from training.recipe import Recipe, RecipeError
from training.splits import Fold, Split


def learn(material: Material, recipe: Recipe, split: Split, fold: Fold, runs_dir: Path) -> Any:
    """Return the trained Keras model of a fold; one that was stopped goes on, one that is finished is loaded.

    Args:
        material: what there is to hear.
        recipe: what to do.
        split: which of it to learn from; its calibration clips, if there are any, are in the curves.
        fold: says which folder and which seed.
        runs_dir: where the trainings are kept, also those of the teachers.

    Raises:
        RecipeError: a run folder is that of another recipe, or the teachers cannot teach.
    """
    folder = runs_dir / recipe.folder / fold.folder
    _claim(folder, recipe, split.train)
    finished = fit.load(recipe, folder)
    if finished is not None:
        return finished
    teachers = _teachers(material, recipe, split, fold, runs_dir)
    banks = [material.bank(speed) for speed in recipe.augment.speeds]
    batches = Batches(banks, material.numbers(split.train), _truth(split.train, recipe), recipe, fold.seed)
    return fit.fit(Lesson(batches, _dev(split, recipe), teachers), recipe, fold.seed, folder)


def _teachers(material: Material, recipe: Recipe, split: Split, fold: Fold, runs_dir: Path) -> list[Any]:
    plan = recipes.teacher(recipe)
    if recipe.teaching is None or plan is None:
        return []
    theirs = msgspec.structs.replace(split, train=[clip for clip in split.train if clip.label in plan.heard])
    seeds = range(plan.seed, plan.seed + recipe.teaching.seeds)
    return [learn(material, plan, theirs, fold._replace(seed=seed), runs_dir) for seed in seeds]


def _truth(clips: Sequence[Clip], recipe: Recipe) -> NDArray[np.float32]:
    """Return what each clip portrays, shape (clips, labels learned); nothing for a label that is not learned."""
    return np.array([[clip.label == label for label in recipe.learned] for clip in clips], np.float32)


def _dev(split: Split, recipe: Recipe) -> Heard | None:
    """Return the calibration clips amid their own background, to watch the training with."""
    if not split.dev:
        return None
    windows = features.centred_windows(split.dev, recipe, BACKGROUNDS["own"])
    return Heard(features.normalised(windows), features.targets(split.dev, recipe.labels))


def _claim(folder: Path, recipe: Recipe, train: Sequence[Clip]) -> None:
    """Write down what is trained here and of what, and drop what was trained of other recordings.

    Raises:
        RecipeError: the folder is that of another recipe.
    """
    told = msgspec.json.encode({"data_sha256": corpora.digest(train), "recipe": recipe})
    content = msgspec.json.format(told, indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    checkpoint, weights = folder / fit.CHECKPOINT, folder / fit.WEIGHTS
    if not file.is_file() or file.read_bytes() != content:
        _refuse_another_recipes(file, recipe)
        shutil.rmtree(checkpoint, ignore_errors=True)
        weights.unlink(missing_ok=True)
    if not checkpoint.is_dir() and not weights.is_file():
        (folder / fit.CURVES).unlink(missing_ok=True)
    file.write_bytes(content)


def _refuse_another_recipes(file: Path, recipe: Recipe) -> None:
    if not file.is_file():
        return
    try:
        told = msgspec.json.decode(file.read_bytes())["recipe"]
    except (msgspec.DecodeError, KeyError) as error:
        raise RecipeError(f"{file} tells no recipe: {error}; move {file.parent} away") from error
    if told != msgspec.json.decode(msgspec.json.encode(recipe)):
        raise RecipeError(
            f"{file.parent} is the run folder of another recipe than {recipe.name}: move it away, or give another "
            "runs_dir"
        )
