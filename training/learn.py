"""Trains one network in its run folder, after its teachers if it has any."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from common import files
from common.decoding import JSON_ERRORS
from models import bundle
from training import body, corpora, features, fit, teach, whisper_teacher
from training import recipe as recipes
from training.batches import Batches, Targets, TrainingSet
from training.corpora import EMOTIONS, Clip
from training.features import Bank, FrameCache
from training.recipe import Recipe, RecipeError
from training.splits import Fold, Split
from training.teach import Teacher

CONFIG = "config.json"
"""In a run folder: its recipe, and the hash of its recordings."""
BEGINNING = 256
"""Training clips on which a network that begins as another one is measured."""


def learn(cache: FrameCache, recipe: Recipe, split: Split, fold: Fold, runs_dir: Path) -> Path:
    """Return the run folder of a fold with its finished network; a training that was stopped goes on.

    Args:
        cache: frames of all clips.
        recipe: what to train.
        split: the clips to train on.
        fold: names the run folder and the seed.
        runs_dir: holds the trainings, those of the teachers too.

    Raises:
        RecipeError: a run folder is that of another recipe, or the teachers cannot teach.
        TeacherError: Whisper is to teach and is not installed.
    """
    folder = runs_dir / recipe.folder / fold.folder
    data_sha256 = corpora.digest(split.train, votes=recipe.votes > 0)
    prepare(folder, recipe, data_sha256)
    if not fit.finished(folder):
        _reuse(folder, recipe, data_sha256, sorted(runs_dir.glob(f"*/{fold.folder}")))
    if not fit.finished(folder):
        teachers = _teachers(cache, recipe, split, fold, runs_dir)
        banks = [cache.bank(speed) for speed in recipe.augment.speeds]
        clips = cache.indices(split.train)
        heard = _heard(split.train, recipe, runs_dir)
        soft_targets = teach.soft_targets(teachers, heard, banks, clips, recipe)
        rows = _epoch(split.train, recipe)
        training_set = TrainingSet(clips[rows], _targets(split.train, recipe)[rows], soft_targets[:, rows])
        begin = _begin(recipe, teachers, fold.seed, banks[0], clips)
        fit.fit(Batches(banks, training_set, recipe, fold.seed), recipe, fold.seed, folder, begin)
    return folder


def _begin(
    recipe: Recipe, teachers: Sequence[Teacher], seed: int, bank: Bank, clips: NDArray[np.intp]
) -> fit.Begin | None:
    """Return what gives the network its first weights; None: they are random."""
    if recipe.teaching and recipe.teaching.starts:
        weights = teachers[seed % len(teachers)].folder / fit.WEIGHTS
        return lambda model: model.load_weights(weights)
    if recipe.start:
        made = bundle.load(bundle.find(recipe.start))
        some = np.random.default_rng(seed).permutation(clips)[:BEGINNING]
        starts = (bank.lengths(some) - recipe.window_frames) // 2
        windows = features.normalised(bank.windows(some, starts, recipe.window_frames)[0])
        return lambda model: body.begin(model, made, windows)
    return None


def _teachers(cache: FrameCache, recipe: Recipe, split: Split, fold: Fold, runs_dir: Path) -> list[Teacher]:
    teacher = recipes.teacher(recipe)
    if recipe.teaching is None or teacher is None:
        return []
    train = [clip for clip in split.train if clip.label in teacher.clip_labels]
    theirs = msgspec.structs.replace(split, train=train)
    seeds = range(teacher.seed, teacher.seed + recipe.teaching.seeds)
    return [Teacher(teacher, learn(cache, teacher, theirs, fold._replace(seed=seed), runs_dir)) for seed in seeds]


def _heard(clips: Sequence[Clip], recipe: Recipe, runs_dir: Path) -> teach.Logits | None:
    """Return the logits of the Whisper teacher, shape (clips, labels); None if it does not teach."""
    if recipe.teaching is None or not recipe.teaching.whisper:
        return None
    return whisper_teacher.logits(whisper_teacher.statistics(clips, runs_dir), clips, recipe.learned)


def _reuse(folder: Path, recipe: Recipe, data_sha256: str, others: Sequence[Path]) -> None:
    """Copy the weights of a finished training whose recipe differs only in which labels the model gives."""
    for other in others:
        if fit.finished(other) and _trained_alike(other / CONFIG, recipe, data_sha256):
            shutil.copyfile(other / fit.CURVES, folder / fit.CURVES)
            shutil.copyfile(other / fit.WEIGHTS, folder / fit.WEIGHTS)
            return


def _trained_alike(config: Path, recipe: Recipe, data_sha256: str) -> bool:
    try:
        other, other_data_sha256 = read_config(config)
    except (OSError, RecipeError):  # nothing to reuse
        return False
    return other_data_sha256 == data_sha256 and other.training == recipe.training


def _epoch(clips: Sequence[Clip], recipe: Recipe) -> NDArray[np.intp]:
    """Return the indices of the clips that an epoch has, each as often as the recipe repeats its corpus."""
    return np.repeat(np.arange(len(clips)), [recipe.repeats.get(clip.corpus, 1) for clip in clips])


def _targets(clips: Sequence[Clip], recipe: Recipe) -> Targets:
    """Return the label of each clip and, if the recipe has votes, their shares, shape (clips, outputs).

    All zero for a label that is not learned, and for votes where nobody was asked.
    """
    labels = np.array([[clip.label == label for label in recipe.learned] for clip in clips], np.float32)
    if not recipe.votes:
        return labels
    votes = np.array([[clip.votes.get(emotion, 0) for emotion in EMOTIONS] for clip in clips], np.float32)
    return np.concatenate([labels, votes / np.maximum(1, votes.sum(axis=1, keepdims=True))], axis=1)


def prepare(folder: Path, recipe: Recipe, data_sha256: str) -> None:
    """Write the recipe and the hash of the recordings, and delete what was trained on other recordings.

    Raises:
        RecipeError: the folder is that of another recipe.
    """
    config = folder / CONFIG
    checkpoint, weights = folder / fit.CHECKPOINT, folder / fit.WEIGHTS
    if config.is_file():
        before, before_sha256 = read_config(config)
        if before.sha256 != recipe.sha256:
            raise RecipeError(
                f"{folder} is the run folder of another recipe than {recipe.name}: move it away, or give another "
                "runs_dir"
            )
        if before_sha256 != data_sha256:
            shutil.rmtree(checkpoint, ignore_errors=True)
            weights.unlink(missing_ok=True)
    if not checkpoint.is_dir() and not weights.is_file():
        (folder / fit.CURVES).unlink(missing_ok=True)
    content = msgspec.json.encode({"data_sha256": data_sha256, "recipe": recipe})
    files.replace(config, msgspec.json.format(content, indent=2))


def read_config(config: Path) -> tuple[Recipe, str]:
    """Return the recipe of a run folder, and the hash of its recordings.

    Raises:
        RecipeError: the file is not valid.
    """
    try:
        content = msgspec.json.decode(config.read_bytes())
        return recipes.convert(content["recipe"]), str(content["data_sha256"])
    except (*JSON_ERRORS, KeyError, TypeError) as error:
        raise RecipeError(f"{config} holds no recipe: {error}; move {config.parent} away") from error
