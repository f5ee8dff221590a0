"""What a bundle is worth on speakers it never heard: measured on its file, through the runtime of the device."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, BundleError
from models.frontend import Frames
from models.runtime import Classifier, Scores, softmax
from training import evaluate, features, splits
from training.backgrounds import BACKGROUNDS, NOISES, Background
from training.corpora import Clip
from training.evaluate import Logits, Truth
from training.features import Hearing

FILE = "answers.npz"
"""In a run folder, so that folds can be pooled."""
UNKNOWN = "unknown"
LEAST = 1e-300
"""A probability of 0 has no logarithm."""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
"""Shares of the windows that are answered, the surest first."""


def unheard(clips: Sequence[Clip], made: Bundle) -> list[Clip]:
    """Return those of these clips whose speakers a bundle has never heard, as its manifest tells.

    Raises:
        BundleError: it has heard them all, or its manifest does not tell.
    """
    measured = made.manifest.measured
    if not {"split", "speakers"} <= measured.keys():
        raise BundleError(
            f"the manifest of {made.folder} does not tell whom it has heard; `moodwire train` writes that"
        )
    if measured["split"] == "leaky":
        raise BundleError(f"{made.folder} was made with a leaky split: there is no speaker that it never heard")
    if measured["split"] == splits.RELEASE:
        raise BundleError(
            f"{made.folder} was trained on all speakers of CREMA-D: there is none that it never heard; another corpus "
            "is right, or the bundle of a fold: runs/<recipe>/block-4-seed-1"
        )
    return [clip for clip in clips if clip.speaker in measured["speakers"]["test"]]


def windows(clips: Sequence[Clip], hearing: Hearing, amid: Mapping[str, Background] = BACKGROUNDS) -> list[Frames]:
    """Return a window for each background and clip, all clips amid the first background first."""
    return [window for background in amid.values() for window in features.centred_windows(clips, hearing, background)]


def truth(clips: Sequence[Clip], labels: tuple[str, ...], amid: Mapping[str, Background] = BACKGROUNDS) -> Truth:
    """Return the class of each of these windows."""
    return np.tile(features.targets(clips, labels), len(amid))


class Answers(NamedTuple):
    """What a model says to windows whose truth is known: one row for each."""

    scores: Scores
    """Shape (n, labels)."""
    truth: Truth
    speakers: NDArray[np.intp]
    sexes: NDArray[np.str_]
    ages: NDArray[np.str_]
    """Decades."""
    intensities: NDArray[np.str_]
    sentences: NDArray[np.str_]
    backgrounds: NDArray[np.str_]
    """Names in `BACKGROUNDS`."""


def answers(made: Bundle, test: Sequence[Clip], heard: Sequence[Frames]) -> Answers:
    """Return what a bundle says to the windows of these clips amid each background, before its temperature."""
    given = evaluate.logits(Classifier(made), heard)
    return told(softmax(given), test, made.manifest.labels, BACKGROUNDS)


def outputs(found: Answers) -> Logits:
    """Return what a model gave for these answers, but for what it added to all labels alike."""
    return np.log(np.maximum(found.scores, LEAST))


def calibrated(found: Answers, temperature: float) -> Answers:
    """Return answers with their probabilities under a temperature."""
    return found._replace(scores=softmax(outputs(found) / temperature))


def told(scores: Scores, test: Sequence[Clip], labels: tuple[str, ...], amid: Collection[str]) -> Answers:
    """Return these scores with what is known of the clips, which were all heard amid the first background first."""
    return Answers(
        scores,
        np.tile(features.targets(test, labels), len(amid)),
        np.array([clip.speaker for _ in amid for clip in test]),
        np.array([clip.sex or UNKNOWN for _ in amid for clip in test]),
        np.array([_decade(clip.age) for _ in amid for clip in test]),
        np.array([clip.intensity or UNKNOWN for _ in amid for clip in test]),
        np.array([clip.sentence or UNKNOWN for _ in amid for clip in test]),
        np.repeat(list(amid), len(test)),
    )


def _decade(age: int | None) -> str:
    return UNKNOWN if age is None else f"{age // 10 * 10}-{age // 10 * 10 + 9}"


def save(folder: Path, found: Answers) -> None:
    """Keep answers in a run folder, as they are before the temperature."""
    np.savez_compressed(folder / FILE, **found._asdict())


def load(folder: Path) -> Answers:
    """Return the answers kept in a run folder.

    Raises:
        BundleError: they are not there, or of another version.
    """
    try:
        with np.load(folder / FILE) as found:
            return Answers(**found)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(
            f"{folder / FILE} cannot be read: {error}; delete it, and `moodwire train` scores the model again"
        ) from error


def pool(of_folds: Sequence[Answers]) -> Answers:
    """Return the answers of several models as if one had given them."""
    return Answers(*(np.concatenate(parts) for parts in zip(*of_folds, strict=True)))


def describe(found: Answers, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return what is counted over these answers."""
    said = found.scores.argmax(axis=1)
    return {
        **msgspec.to_builtins(evaluate.metrics(found.scores, found.truth, labels)),
        "uar_interval": evaluate.uar_interval(said, found.truth, found.speakers),
        "uar_by_background": _uar_by(found.backgrounds, said, found.truth),
        "uar_by_sex": _uar_by(found.sexes, said, found.truth),
        "uar_by_age": _uar_by(found.ages, said, found.truth),
        "uar_by_intensity": _uar_by(found.intensities, said, found.truth),
        "uar_by_sentence": _uar_by(found.sentences, said, found.truth),
        "uar_by_speaker": _uar_by(found.speakers.astype(str), said, found.truth),
        "uar_by_coverage": {
            f"{share:g}": evaluate.uar_of_surest(found.scores, found.truth, share) for share in COVERAGES
        },
    }


def measure(made: Bundle, test: Sequence[Clip], found: Answers) -> dict[str, Any]:
    """Return what the manifest and the card tell of a bundle.

    Args:
        made: the bundle.
        test: clips of speakers that it never heard.
        found: what it says to them, under its temperature.
    """
    labels = made.manifest.labels
    in_noise = evaluate.logits(Classifier(made), windows(test, made.manifest, NOISES)).argmax(axis=1)
    return {
        **describe(found, labels),
        "uar_in_noise": _uar_by(np.repeat(list(NOISES), len(test)), in_noise, truth(test, labels, NOISES)),
        "sure": sure(found, made.manifest.uncertain_below),
        "listeners": evaluate.listeners(test, labels),
    }


def sure(found: Answers, uncertain_below: float) -> dict[str, float | None]:
    """Return how many windows are not uncertain, and how many of these are answered rightly."""
    certain = found.scores.max(axis=1) >= uncertain_below
    right = (found.scores.argmax(axis=1) == found.truth)[certain]
    return {"share": float(certain.mean()), "accuracy": float(right.mean()) if right.size else None}


def _uar_by(groups: NDArray[np.str_], said: NDArray[np.intp], meant: Truth) -> dict[str, float]:
    """Return the UAR within each group of windows, in the order in which they first occur."""
    chosen = {group: groups == group for group in dict.fromkeys(groups.tolist())}
    return {group: evaluate.uar(said[rows], meant[rows]) for group, rows in chosen.items()}
