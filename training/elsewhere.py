"""What a model is worth on corpora that it was not made with, beside what it is worth on those that taught it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from models.bundle import Bundle, Manifest
from models.runtime import Classifier
from training import catalogue, corpora, evaluate, score
from training.backgrounds import BACKGROUNDS, FLOORS
from training.corpora import Clip
from training.results import Elsewhere, InFloor, Level
from training.score import Predictions
from training.splits import RELEASE
from training.tables import Row

RATE_HZ = 16_000
FRAME = 512
"""Samples over which a level is taken."""
SCORES = ("uar", "uar_interval", "recall", "ece", "sure")
"""What is kept of the scores that `score.measure` returns."""


def measure(test: Sequence[Clip], scores: Mapping[str, Any]) -> Elsewhere:
    """Return what is kept of the scores of a model on a corpus.

    Args:
        test: the corpus's clips, each of a known speaker.
        scores: what `score.measure` returns for them, with those of `in_floors` and `levels`.
    """
    return Elsewhere(
        clips=len(test),
        speakers=len({clip.speaker for clip in test}),
        **{name: scores[name] for name in (*SCORES, "in_floors", "levels")},
        after_baseline=scores.get("after_baseline"),
    )


def own(manifest: Manifest, recordings_dir: Path) -> dict[str, Elsewhere]:
    """Return what the cross-validation found on each known corpus that taught a model; nothing if there was none.

    Args:
        manifest: of the model.
        recordings_dir: holds the recordings, for their levels.

    Raises:
        CorpusError: recordings are missing.
    """
    measured = manifest.measured
    if measured.get("split") != RELEASE:
        return {}
    told = msgspec.convert(measured.get("of_corpora", {}), dict[str, Elsewhere])
    taught = catalogue.taught(manifest)
    if len(taught) == 1 and taught[0] in catalogue.CORPORA:
        windows = len(BACKGROUNDS) * len(measured["cross_validation"]["folds"][0]["uar_of_seeds"])
        scores = {name: measured[name] for name in SCORES}
        clips, speakers = int(np.sum(measured["confusion"])) // windows, len(measured["speakers"]["train"])
        told = {taught[0]: Elsewhere(own=True, clips=clips, speakers=speakers, **scores)}
    return {
        name: msgspec.structs.replace(found, levels=levels(catalogue.read(name, recordings_dir, manifest.labels)))
        for name, found in told.items()
    }


def of_folds(
    predicted: Predictions, labels: tuple[str, ...], uncertain_below: float, seeds: int
) -> dict[str, Elsewhere]:
    """Return what the folds of a model of several corpora found on each known one, all answers counted together.

    Args:
        predicted: the calibrated predictions of all folds, for speakers that they never heard.
        labels: of the model.
        uncertain_below: its threshold.
        seeds: how many models heard each clip.
    """
    voices = {speaker: catalogue.voice_of(speaker) for speaker in np.unique(predicted.speakers).tolist()}
    corpus = np.array([voice.corpus if (voice := voices[each]) else "" for each in predicted.speakers.tolist()])
    found = {}
    for name in sorted(set(corpus) - {""}, key=list(catalogue.CORPORA).index):
        rows = score.of_rows(predicted, corpus == name)
        scores = {**score.describe(rows, labels), "sure": score.sure(rows, uncertain_below)}
        found[name] = Elsewhere(
            own=True,
            clips=len(rows.truth) // (len(BACKGROUNDS) * seeds),
            speakers=len(scores["uar_by_speaker"]),
            **{key: scores[key] for key in SCORES},
        )
    return found


def others(found: Mapping[str, Elsewhere], manifest: Manifest) -> dict[str, Elsewhere]:
    """Return those of these corpora, by their key, that had no part in a model's training, in the catalogue's order."""
    return {
        name: found[name]
        for name in catalogue.CORPORA
        if name in found and not found[name].own and not catalogue.is_own(name, manifest)
    }


def in_floors(made: Bundle, test: Sequence[Clip]) -> dict[str, InFloor]:
    """Return the scores with each of `FLOORS` under every clip, by its key."""
    labels = made.manifest.labels
    found = {}
    for name, floor in FLOORS.items():
        backgrounds = {name: floor}
        logits = evaluate.logits(Classifier(made), score.windows(test, made.manifest, backgrounds))
        metrics = evaluate.metrics(logits, score.truth(test, labels, backgrounds), labels)
        found[name] = InFloor(uar=metrics.uar, recall=metrics.recall)
    return found


def levels(clips: Sequence[Clip]) -> dict[str, Level]:
    """Return how loud the clips of each label are, and their background."""
    by_label: dict[str, list[tuple[float, float]]] = {}
    for clip in clips:
        by_label.setdefault(clip.label, []).append(_level(clip))
    medians = {label: np.median(by_label[label], axis=0).tolist() for label in sorted(by_label)}
    return {label: Level(speech_dbfs=speech, floor_dbfs=floor) for label, (speech, floor) in medians.items()}


def _level(clip: Clip) -> tuple[float, float]:
    samples = corpora.read_audio(clip, RATE_HZ)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    power = np.sort((frames**2).mean(axis=1))
    sounding = power[power > 0]
    parts = sounding[len(sounding) // 2 :], sounding[: max(1, len(sounding) // 10)]
    speech, floor = (10 * np.log10(part.mean() / 32_768**2) for part in parts)
    return float(speech), float(floor)


def row(name: str, found: Elsewhere) -> Row:
    """Return what a model is worth on one corpus as a row of a table.

    Args:
        name: of the corpus, a key of `catalogue.CORPORA`.
        found: what was measured.
    """
    corpus = catalogue.CORPORA[name]
    share, accuracy = found.sure["share"], found.sure["accuracy"]
    warm = found.after_baseline
    return {
        "recordings": corpus.title + (" (its own)" if found.own else ""),
        "language": ", ".join(corpus.languages),
        "speakers": str(found.speakers),
        "clips": f"{found.clips:,}",
        "UAR": f"{found.uar:.1%}",
        "95 % interval": "{:.1%} to {:.1%}".format(*found.uar_interval),
        "recall": recalls(found.recall),
        "ECE": f"{found.ece:.3f}",
        "answered": f"{share:.1%}",
        "right of these": "" if accuracy is None else f"{accuracy:.1%}",
        "UAR after a baseline": "" if warm is None else f"{warm.uar:.1%}",
        "its worst mix": "" if warm is None else f"{warm.worst_uar:.1%}",
        "recall then": "" if warm is None else recalls(warm.recall),
        "ECE then": "" if warm is None else f"{warm.ece:.3f}",
    }


def recalls(recall: Mapping[str, float]) -> str:
    """Return the recall of each label in a cell."""
    return ", ".join(f"{label} {value:.0%}" for label, value in recall.items())


def level_row(label: str, level: Level) -> Row:
    """Return how loud a label is as a row of a table."""
    return {
        "portrayed": label,
        "speech": f"{level.speech_dbfs:.0f}",
        "background": f"{level.floor_dbfs:.0f}",
        "speech above it": f"{level.speech_dbfs - level.floor_dbfs:.0f} dB",
    }
