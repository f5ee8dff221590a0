"""Splits into training and test clips, by speaker: no model is scored on a voice that it was trained on.

The random split by file, from which most published numbers come, is there under the name `leaky`, to show by how much
they flatter; it makes no bundle.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from training.corpora import Clip, CorpusError
from training.recipe import PeerRecipe, Recipe

BLOCKS = {
    1: range(1001, 1019),
    2: range(1019, 1037),
    3: range(1037, 1055),
    4: range(1055, 1073),
}
"""CREMA-D's actors in the speaker-disjoint blocks of EMO-SUPERB."""

SPLITS = {"speakers": "block", "sentences": "sentences", "leaky": "leaky"}
"""Ways to hold clips out, with the prefix of their run folders: unheard speakers; unheard speakers with unheard
sentences; files at random, whoever speaks."""
RELEASE = "release"
"""Nothing is held out: the shipped model. The other models of its recipe give its scores."""


class Fold(NamedTuple):
    """One training of a cross-validation."""

    block: int
    """The block of speakers held out; of a leaky split, the quarter of the files; of a release, 0."""
    seed: int
    """Of everything random, except which file is in which quarter."""
    split: str = "speakers"
    """A key of `SPLITS`."""

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        if self.split == RELEASE:
            return f"{RELEASE}-seed-{self.seed}"
        return f"{SPLITS[self.split]}-{self.block}-seed-{self.seed}"

    @property
    def title(self) -> str:
        """For people."""
        held_out = {
            "speakers": span(self.block),
            "sentences": f"{span(self.block)} and a quarter of the sentences",
            "leaky": f"quarter {self.block} of the files (leaky)",
        }
        return f"{held_out[self.split]} held out, seed {self.seed}"


class Split(msgspec.Struct, frozen=True):
    """Clips to train on and to score on."""

    train: list[Clip]
    test: list[Clip]

    def scored_on(self, labels: tuple[str, ...]) -> "Split":
        """Return the same split with test clips of these labels only."""
        return Split(self.train, [clip for clip in self.test if clip.label in labels])


def of(clips: Sequence[Clip], fold: Fold, recipe: Recipe) -> Split:
    """Return the training and the test clips of a fold of a recipe.

    Raises:
        CorpusError: there would be none of either.
    """
    if fold.split == RELEASE:
        return Split(list(clips), [])
    holding_out = {"speakers": by_speaker, "sentences": by_sentence, "leaky": by_file}
    split = holding_out[fold.split](clips, fold.block)
    if isinstance(recipe, PeerRecipe) and recipe.balanced:
        return msgspec.structs.replace(split, train=balanced(split.train, fold.seed))
    return split


def by_speaker(clips: Sequence[Clip], test_block: int) -> Split:
    """Hold out one block of speakers; all others train.

    Raises:
        CorpusError: there would be no training or no test clips.
    """
    others = {speaker for number, block in BLOCKS.items() if number != test_block for speaker in block}
    train = [clip for clip in clips if clip.speaker in others]
    test = [clip for clip in clips if clip.speaker in BLOCKS[test_block]]
    for name, part in (("train", train), ("test", test)):
        if not part:
            raise CorpusError(
                f"no clips to {name} on when block {test_block} is held out: "
                f"the corpus must have speakers of every block, 1001 to 1072"
            )
    return Split(train, test)


def by_sentence(clips: Sequence[Clip], test_block: int) -> Split:
    """Hold out speakers as `by_speaker` does, and every fourth sentence: test clips are of both, training of neither.

    Raises:
        CorpusError: there would be no training or no test clips.
    """
    sentences = sorted({clip.sentence for clip in clips})[test_block - 1 :: len(BLOCKS)]
    split = by_speaker(clips, test_block)
    train = [clip for clip in split.train if clip.sentence not in sentences]
    test = [clip for clip in split.test if clip.sentence in sentences]
    if not (train and test):
        raise CorpusError(f"no sentences can be held out: each block needs several, these clips have {len(sentences)}")
    return Split(train, test)


def by_file(clips: Sequence[Clip], quarter: int) -> Split:
    """Hold out a random quarter of the files, whoever speaks: leaky.

    A hash of each clip decides, so that a file is in the same quarter whichever others are there.

    Raises:
        CorpusError: there would be no training or no test clips.
    """
    drawn = [
        int(hashlib.sha256(clip.sha256.encode()).hexdigest()[:8], 16) % len(BLOCKS) == quarter - 1 for clip in clips
    ]
    train = [clip for clip, tested in zip(clips, drawn, strict=True) if not tested]
    test = [clip for clip, tested in zip(clips, drawn, strict=True) if tested]
    if not (train and test):
        raise CorpusError(f"{len(clips)} clips are too few to be split at random: give at least some dozens")
    return Split(train, test)


def balanced(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """Return as many clips of each label as the rarest one has, chosen at random, in their order."""
    labels = np.array([clip.label for clip in clips])
    names, counts = np.unique(labels, return_counts=True)
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(np.flatnonzero(labels == name), counts.min(), replace=False) for name in names]
    return [clips[number] for number in sorted(np.concatenate(chosen))]


def speakers(clips: Iterable[Clip]) -> list[int]:
    """Return the speakers of these clips, ascending."""
    return sorted({clip.speaker for clip in clips})


def span(block: int) -> str:
    """Return the block's first and last speaker, such as `1001-1018`."""
    return f"{BLOCKS[block][0]}-{BLOCKS[block][-1]}"
