"""What a bundle is worth on speakers it never heard: measured on its file, through the runtime of the device."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.frontend import Frames
from models.runtime import Classifier, softmax
from training import evaluate, features
from training.backgrounds import BACKGROUNDS, NOISES, Background
from training.corpora import Clip
from training.evaluate import Truth
from training.features import Hearing

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
"""Shares of the windows that are answered, the surest first."""


def windows(clips: Sequence[Clip], hearing: Hearing, amid: Mapping[str, Background] = BACKGROUNDS) -> list[Frames]:
    """Return a window for each background and clip, all clips amid the first background first."""
    return [window for background in amid.values() for window in features.centred_windows(clips, hearing, background)]


def truth(clips: Sequence[Clip], labels: tuple[str, ...], amid: Mapping[str, Background] = BACKGROUNDS) -> Truth:
    """Return the class of each of these windows."""
    return np.tile(features.targets(clips, labels), len(amid))


def measure(made: Bundle, test: Sequence[Clip]) -> dict[str, Any]:
    """Return what is counted on these clips, for the manifest and the model card."""
    classifier, manifest = Classifier(made), made.manifest
    meant = truth(test, manifest.labels)
    scores = softmax(evaluate.logits(classifier, windows(test, manifest)) / manifest.temperature)
    answers = scores.argmax(axis=1)
    sure = scores.max(axis=1) >= manifest.uncertain_below
    clips = [clip for _ in BACKGROUNDS for clip in test]
    in_noise = evaluate.logits(classifier, windows(test, manifest, NOISES)).argmax(axis=1)
    return {
        **msgspec.to_builtins(evaluate.metrics(scores, meant, manifest.labels)),
        "uar_interval": evaluate.uar_interval(answers, meant, np.array([clip.speaker for clip in clips])),
        "uar_by_background": _uar_by(np.repeat(list(BACKGROUNDS), len(test)), answers, meant),
        "uar_by_sex": _uar_by(np.array([clip.sex for clip in clips]), answers, meant),
        "uar_by_speaker": _uar_by(np.array([str(clip.speaker) for clip in clips]), answers, meant),
        "uar_by_coverage": {f"{share:g}": evaluate.uar_of_surest(scores, meant, share) for share in COVERAGES},
        "uar_in_noise": _uar_by(np.repeat(list(NOISES), len(test)), in_noise, truth(test, manifest.labels, NOISES)),
        "sure": {
            "share": float(sure.mean()),
            "accuracy": float((answers == meant)[sure].mean()) if sure.any() else None,
        },
        "listeners": evaluate.listeners(test, manifest.labels),
    }


def _uar_by(groups: NDArray[np.str_], answers: NDArray[np.intp], meant: Truth) -> dict[str, float]:
    """Return the UAR within each group of windows, in the order in which they first occur."""
    chosen = {group: groups == group for group in dict.fromkeys(groups.tolist())}
    return {group: evaluate.uar(answers[rows], meant[rows]) for group, rows in chosen.items()}
