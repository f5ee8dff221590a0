"""Rooms that a model does not know: what a device with a baseline makes of a corpus, by what it has heard before.

A room has the voices and the microphone of a corpus. Half of its clips may be heard, the others are scored, and the
other way round.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.baseline import NEUTRAL, Heard, Reference, Values, shifted
from models.bundle import Manifest
from training import evaluate
from training.results import AfterBaseline
from training.score import Predictions

LIKELY = (0.5, 0.7, 0.9)
"""Shares of neutral windows in what is heard."""
USUAL = 0.7
WINDOWS = 100
HALF_LIFE = 1_800.0
"""Windows, one a second: the default of a device."""
REPEATS = 3
"""Rooms with each half of each speaker's clips; in rooms of all speakers five times as many."""
MOST_ROOMS = 24
"""Speakers with a room of their own; of a larger corpus only every second, third or so."""

Indices = NDArray[np.intp]


class Corpus(NamedTuple):
    """A model's answers to one window of each clip of a corpus."""

    title: str
    scores: Values
    """Calibrated, shape (clips, labels)."""
    truth: Indices
    speakers: Indices
    known: Reference
    """The model's own corpus."""
    neutral: int
    """Index of the neutral label."""


class Room(NamedTuple):
    """Clips of a room, as their indices."""

    heard: Indices
    """What a device may hear there."""
    scored: Indices
    """What its answers are scored on."""


def voices_of(corpus: Corpus) -> Indices:
    """Return the speakers of a corpus who have a room of their own."""
    every = np.unique(corpus.speakers)
    return every[:: -(-len(every) // MOST_ROOMS)]


def rooms(corpus: Corpus, rng: np.random.Generator, *, apart: bool) -> Iterator[Room]:
    """Yield rooms: half of the clips of each label are heard, the others scored, and the other way round.

    Args:
        corpus: where the clips are from.
        rng: the random generator.
        apart: whether each speaker has a room; else all speakers are in one.
    """
    everyone = [np.flatnonzero(corpus.speakers == speaker) for speaker in voices_of(corpus)]
    for _ in range(REPEATS if apart else 5 * REPEATS):
        for members in everyone if apart else [np.arange(len(corpus.truth))]:
            parts: tuple[list[Indices], list[Indices]] = ([], [])
            for label in range(corpus.scores.shape[1]):
                clips = rng.permutation(members[corpus.truth[members] == label])
                parts[0].append(clips[: len(clips) // 2])
                parts[1].append(clips[len(clips) // 2 :])
            if all(map(len, parts[0])):
                one, other = (np.concatenate(part) for part in parts)
                yield Room(one, other)
                yield Room(other, one)


def hear(corpus: Corpus, clips: Indices, share: float, count: int, rng: np.random.Generator) -> Values:
    """Return the scores of windows of these clips, drawn at random with this share of neutral ones."""
    labels = corpus.scores.shape[1]
    mix = np.full(labels, (1 - share) / (labels - 1))
    mix[corpus.neutral] = share
    drawn = rng.choice(labels, count, p=mix)
    chosen = np.empty(count, np.intp)
    for label in range(labels):
        chosen[drawn == label] = rng.choice(clips[corpus.truth[clips] == label], int((drawn == label).sum()))
    return corpus.scores[chosen]


class Found:
    """Answers of many rooms, pooled."""

    def __init__(self) -> None:
        self._scores: list[Values] = []
        self._truth: list[Indices] = []

    @property
    def is_empty(self) -> bool:
        """Whether no room had windows both to hear and to score."""
        return not self._scores

    @property
    def scores(self) -> Values:
        """Shape (windows, labels)."""
        return np.concatenate(self._scores)

    @property
    def truth(self) -> Indices:
        """Shape (windows,)."""
        return np.concatenate(self._truth)

    def add(self, corpus: Corpus, clips: Indices, shift: Values) -> None:
        """Add a room's answers to these clips after a shift."""
        self._scores.append(shifted(corpus.scores[clips], shift))
        self._truth.append(corpus.truth[clips])

    @property
    def uar(self) -> float:
        """Unweighted average recall."""
        return evaluate.uar(self.scores.argmax(axis=1), self.truth)

    @property
    def ece(self) -> float:
        """Expected calibration error."""
        return evaluate.calibration_error(self.scores, self.truth)


def after(corpus: Corpus, share: float, counts: Sequence[int], *, apart: bool) -> list[Found]:
    """Return the answers after each of these numbers of heard windows."""
    rng = np.random.default_rng(1)
    found = [Found() for _ in counts]
    for room in rooms(corpus, rng, apart=apart):
        heard, done = Heard(), 0
        for count, answered in zip(counts, found, strict=True):
            if count > done:
                heard = heard.add(hear(corpus, room.heard, share, count - done, rng), HALF_LIFE)
            done = count
            answered.add(corpus, room.scored, heard.shift(corpus.known))
    return found


def after_baseline(predicted: Predictions, manifest: Manifest) -> AfterBaseline | None:
    """Return what a model is worth in rooms of one speaker after `WINDOWS` heard windows.

    None without a reference, and where no speaker has enough clips to be heard and scored.

    Args:
        predicted: its calibrated predictions for windows of a corpus, of which those amid the clips' own background
            count, as a room has one background.
        manifest: of the model.
    """
    if manifest.baseline is None or NEUTRAL not in manifest.labels:
        return None
    rows = predicted.backgrounds == "own"
    corpus = Corpus(
        "",
        predicted.scores[rows],
        predicted.truth[rows],
        predicted.speakers[rows],
        manifest.baseline,
        manifest.labels.index(NEUTRAL),
    )
    found = {share: after(corpus, share, [WINDOWS], apart=True)[0] for share in LIKELY}
    usual = found[USUAL]
    if usual.is_empty:
        return None
    metrics = evaluate.metrics(usual.scores, usual.truth, manifest.labels)
    certain = usual.scores.max(axis=1) >= manifest.uncertain_below
    right = (usual.scores.argmax(axis=1) == usual.truth)[certain]
    return AfterBaseline(
        uar=metrics.uar,
        worst_uar=min(answered.uar for answered in found.values()),
        recall=metrics.recall,
        ece=metrics.ece,
        sure={"share": float(certain.mean()), "accuracy": float(right.mean()) if right.size else None},
    )
