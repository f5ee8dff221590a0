"""Scores of a bundle on speakers it never heard: measured on its file, through the runtime of the device."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, BundleError
from models.frontend import Frames
from models.runtime import Classifier, Scores, softmax
from training import catalogue, corpora, evaluate, features, splits
from training.backgrounds import BACKGROUNDS, NOISES, Background
from training.corpora import Clip
from training.evaluate import Logits, Truth
from training.features import WindowSpec

FILE = "answers.npz"
"""Predictions in a run folder, so that folds can be pooled."""
UNKNOWN = "unknown"
SMALLEST = 1e-300
"""A probability of 0 has no logarithm."""
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
"""Shares of the windows that are classified, the most confident first (selective classification)."""


def unheard(clips: Sequence[Clip], made: Bundle) -> list[Clip]:
    """Return those of these clips whose speakers were held out from a bundle's training, as its manifest says.

    Args:
        clips: of a corpus that taught it, their speakers with numbers that no other corpus uses.
        made: the bundle.

    Raises:
        BundleError: it was trained on all of them, or its manifest does not say.
    """
    measured = made.manifest.measured
    if not {"split", "speakers"} <= measured.keys():
        raise BundleError(
            f"the manifest of {made.folder} does not name the speakers it was trained on: use a bundle made by "
            "`moodwire train`"
        )
    if measured["split"] == "leaky":
        raise BundleError(f"{made.folder} was made with a leaky split: there is no speaker that it never heard")
    if measured["split"] == splits.RELEASE:
        raise BundleError(
            f"{made.folder} was trained on all speakers of {catalogue.titles(made.manifest)}: there is none that it "
            "never heard. Give another corpus with --corpus, or the bundle of a fold, such as "
            "runs/<recipe>/block-4-seed-1; the figures of the cross-validation are on its card"
        )
    found = [clip for clip in clips if clip.speaker in measured["speakers"]["test"]]
    if not found:
        raise BundleError(
            f"none of these speakers was held out when {made.folder} was trained: give the bundle of another fold, "
            "such as runs/<recipe>/block-1-seed-1"
        )
    return found


def windows(
    clips: Sequence[Clip], spec: WindowSpec, backgrounds: Mapping[str, Background] = BACKGROUNDS
) -> list[Frames]:
    """Return a window for each background and clip: all clips with the first background, then with the next."""
    return [
        window for background in backgrounds.values() for window in features.centred_windows(clips, spec, background)
    ]


def truth(clips: Sequence[Clip], labels: tuple[str, ...], backgrounds: Mapping[str, Background] = BACKGROUNDS) -> Truth:
    """Return the class of each of these windows."""
    return np.tile(features.targets(clips, labels), len(backgrounds))


class Predictions(NamedTuple):
    """Probabilities of a model for windows whose label is known; one row of each array for each window."""

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
    """Keys of `BACKGROUNDS`."""


def predict(made: Bundle, test: Sequence[Clip], test_windows: Sequence[Frames]) -> Predictions:
    """Return a bundle's predictions for these clips with each background, before its temperature.

    Args:
        made: the bundle.
        test: the clips.
        test_windows: their windows, as `windows` returns them.
    """
    scores = softmax(evaluate.logits(Classifier(made), test_windows))
    return predictions(scores, test, made.manifest.labels, BACKGROUNDS)


def predictions(
    scores: Scores, test: Sequence[Clip], labels: tuple[str, ...], backgrounds: Collection[str]
) -> Predictions:
    """Return these scores with what is known of the clips; the windows are in the order of `windows`."""
    return Predictions(
        scores,
        np.tile(features.targets(test, labels), len(backgrounds)),
        np.array([clip.speaker for _ in backgrounds for clip in test]),
        np.array([clip.sex or UNKNOWN for _ in backgrounds for clip in test]),
        np.array([_decade(clip.age) for _ in backgrounds for clip in test]),
        np.array([clip.intensity or UNKNOWN for _ in backgrounds for clip in test]),
        np.array([clip.sentence or UNKNOWN for _ in backgrounds for clip in test]),
        np.repeat(list(backgrounds), len(test)),
    )


def _decade(age: int | None) -> str:
    return UNKNOWN if age is None else f"{age // 10 * 10}-{age // 10 * 10 + 9}"


def logits(predicted: Predictions) -> Logits:
    """Return the logits of these predictions, up to a constant of each window."""
    return np.log(np.maximum(predicted.scores, SMALLEST))


def calibrated(predicted: Predictions, temperature: float) -> Predictions:
    """Return predictions with their probabilities at a temperature."""
    return predicted._replace(scores=softmax(logits(predicted) / temperature))


def save(folder: Path, predicted: Predictions) -> None:
    """Keep predictions in a run folder, as they are before the temperature."""
    np.savez_compressed(folder / FILE, **predicted._asdict())


def load(folder: Path) -> Predictions:
    """Return the predictions kept in a run folder.

    Raises:
        BundleError: they are missing, or of another version.
    """
    try:
        with np.load(folder / FILE) as arrays:
            return Predictions(**arrays)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(
            f"{folder / FILE} cannot be read: {error}; delete it, and `moodwire train` scores the model again"
        ) from error


def pool(of_folds: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several models as if one had made them."""
    return Predictions(*(np.concatenate(arrays) for arrays in zip(*of_folds, strict=True)))


def compared(predicted: Predictions) -> Predictions:
    """Return the predictions on which models are compared: of several corpora, those for speakers of CREMA-D.

    Its clips have listeners, and everybody else's figures are on them; another corpus is told beside it.
    """
    return of_rows(predicted, _compared(predicted.speakers))


def of_rows(predicted: Predictions, rows: NDArray[np.bool_]) -> Predictions:
    """Return some of the predictions."""
    return Predictions(**{name: column[rows] for name, column in predicted._asdict().items()})


def _compared(speakers: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return whether the windows of these speakers are among those on which models are compared."""
    of_corpus = {number: catalogue.voice_of(number) for number in np.unique(speakers).tolist()}
    chosen = [number for number, voice in of_corpus.items() if voice and voice.corpus == catalogue.TAUGHT_BY]
    return np.isin(speakers, chosen) if chosen else np.ones(len(speakers), np.bool_)


def describe(predicted: Predictions, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the metrics of these predictions, over the windows of `compared` and by group.

    Without knowing who speaks in each clip there is no interval and no group of speakers.
    """
    by_corpus = _by_corpus(predicted.speakers, predicted.scores.argmax(axis=1), predicted.truth)
    predicted = compared(predicted)
    scores, truth = predicted.scores, predicted.truth
    known = corpora.UNKNOWN not in predicted.speakers
    classes = scores.argmax(axis=1)
    return {
        **msgspec.to_builtins(evaluate.metrics(scores, truth, labels)),
        "uar_interval": evaluate.uar_interval(classes, truth, predicted.speakers) if known else None,
        "uar_by_background": _uar_by(predicted.backgrounds, classes, truth),
        **by_corpus,
        "uar_by_sex": _uar_by(predicted.sexes, classes, truth),
        "uar_by_age": _uar_by(predicted.ages, classes, truth),
        "uar_by_intensity": _uar_by(predicted.intensities, classes, truth),
        "uar_by_sentence": _uar_by(predicted.sentences, classes, truth),
        "uar_by_speaker": _uar_by(predicted.speakers.astype(str), classes, truth) if known else {},
        "uar_by_coverage": {f"{share:g}": evaluate.uar_of_surest(scores, truth, share) for share in COVERAGES},
    }


def measure(made: Bundle, test: Sequence[Clip], predicted: Predictions) -> dict[str, Any]:
    """Return the scores that the manifest and the card of a bundle state.

    Args:
        made: the bundle.
        test: clips of speakers that it never heard.
        predicted: its predictions for them, at its temperature.
    """
    labels = made.manifest.labels
    chosen = _compared(np.array([clip.speaker for clip in test]))
    test = [clip for clip, is_chosen in zip(test, chosen, strict=True) if is_chosen]
    in_noise = evaluate.logits(Classifier(made), windows(test, made.manifest, NOISES)).argmax(axis=1)
    return {
        **describe(predicted, labels),
        "uar_in_noise": _uar_by(np.repeat(list(NOISES), len(test)), in_noise, truth(test, labels, NOISES)),
        "sure": sure(predicted, made.manifest.uncertain_below),
        "listeners": evaluate.listeners(test, labels),
    }


def sure(predicted: Predictions, uncertain_below: float) -> dict[str, float | None]:
    """Return the share of the windows of `compared` that are not uncertain, and the accuracy of these."""
    predicted = compared(predicted)
    certain = predicted.scores.max(axis=1) >= uncertain_below
    correct = (predicted.scores.argmax(axis=1) == predicted.truth)[certain]
    return {"share": float(certain.mean()), "accuracy": float(correct.mean()) if correct.size else None}


def _by_corpus(speakers: NDArray[np.intp], classes: NDArray[np.intp], truth: Truth) -> dict[str, Any]:
    """Return the UAR within each corpus if the speakers are of several."""
    voices = {speaker: catalogue.voice_of(speaker) for speaker in np.unique(speakers).tolist()}
    titles = {speaker: catalogue.CORPORA[voice.corpus].title if voice else "own" for speaker, voice in voices.items()}
    if len(set(titles.values())) < 2:
        return {}
    return {"uar_by_corpus": _uar_by(np.array([titles[speaker] for speaker in speakers.tolist()]), classes, truth)}


def _uar_by(groups: NDArray[np.str_], classes: NDArray[np.intp], truth: Truth) -> dict[str, float]:
    """Return the UAR within each group of windows, in the order in which the groups first occur."""
    members = {group: groups == group for group in dict.fromkeys(groups.tolist())}
    return {group: evaluate.uar(classes[rows], truth[rows]) for group, rows in members.items()}
