"""Splits by speaker, always: a model that has heard a voice is not tested on it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from training.corpora import Clip, CorpusError

BLOCKS = {
    1: range(1001, 1019),
    2: range(1019, 1037),
    3: range(1037, 1055),
    4: range(1055, 1073),
}
"""CREMA-D's actors in the speaker-disjoint blocks of EMO-SUPERB.

Recipes are compared with blocks 1 to 3 held out; block 4 is kept for the score of what is shipped.
"""

DEV_STEP = 6
"""One of so many speakers of each other block calibrates."""


class Fold(NamedTuple):
    """One training of a cross-validation."""

    block: int
    """Whom the model never hears."""
    seed: int
    """Of all chance."""

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        return f"block-{self.block}-seed-{self.seed}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{span(self.block)} held out, seed {self.seed}"


class Split(msgspec.Struct, frozen=True):
    """Clips to learn from, to calibrate on, and to score on; no speaker is in two of them."""

    train: list[Clip]
    dev: list[Clip]
    test: list[Clip]


def by_speaker(clips: Sequence[Clip], test_block: int) -> Split:
    """Hold out one block of speakers for the score, and a sixth of each other block for calibration.

    Raises:
        CorpusError: one of the three would have no clips.
    """
    dev_speakers = [
        speaker
        for number, block in BLOCKS.items()
        if number != test_block
        for speaker in _of_both_sexes([clip for clip in clips if clip.speaker in block])[::DEV_STEP]
    ]
    test = [clip for clip in clips if clip.speaker in BLOCKS[test_block]]
    dev = [clip for clip in clips if clip.speaker in dev_speakers]
    train = [clip for clip in clips if clip.speaker not in dev_speakers and clip.speaker not in BLOCKS[test_block]]
    for name, part in (("train", train), ("dev", dev), ("test", test)):
        if not part:
            raise CorpusError(
                f"no clips to {name} on when block {test_block} is held out: "
                f"the corpus must have speakers of every block, 1001 to 1072"
            )
    return Split(train, dev, test)


def _of_both_sexes(clips: Iterable[Clip]) -> list[int]:
    """Return who speaks, women first, so that speakers at equal steps are of both sexes."""
    return [speaker for _, speaker in sorted({(clip.sex, clip.speaker) for clip in clips})]


def speakers(clips: Iterable[Clip]) -> list[int]:
    """Return who speaks in these clips, ascending."""
    return sorted({clip.speaker for clip in clips})


def span(block: int) -> str:
    """Return the block's first and last speaker, for people."""
    return f"{BLOCKS[block][0]}-{BLOCKS[block][-1]}"
