"""Splits by speaker: a model that has heard a voice is not tested on it.

Beside it, labelled leaky, the random split by file that most published numbers come from: it shows by how much they
flatter, and makes no model that is shipped.
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
"""Ways to hold clips out, with what their run folders begin with: unheard speakers; unheard speakers who say unheard
sentences; files at random, whoever speaks."""


RELEASE = "release"
"""Where nothing is held out: what is shipped. Other models of the same recipe say what it is worth."""


class Fold(NamedTuple):
    """One training of a cross-validation."""

    block: int
    """Whom the model never hears; of a leaky split, which quarter of the files; of a release, 0."""
    seed: int
    """Of all chance, but for which file is in which quarter."""
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
    """Clips to learn from and to score on; no speaker is in both."""

    train: list[Clip]
    test: list[Clip]

    def scored_on(self, labels: tuple[str, ...]) -> "Split":
        """Return the same split, scored on clips with these labels only."""
        return Split(self.train, [clip for clip in self.test if clip.label in labels])


def of(clips: Sequence[Clip], fold: Fold, recipe: Recipe) -> Split:
    """Return what a fold of a recipe learns from, and what it is scored on.

    Raises:
        CorpusError: one of the two would have no clips.
    """
    if fold.split == RELEASE:
        return Split(list(clips), [])
    holding_out = {"speakers": by_speaker, "sentences": by_sentence, "leaky": by_file}
    split = holding_out[fold.split](clips, fold.block)
    if isinstance(recipe, PeerRecipe) and recipe.balanced:
        return msgspec.structs.replace(split, train=balanced(split.train, fold.seed))
    return split


def by_speaker(clips: Sequence[Clip], test_block: int) -> Split:
    """Hold out one block of speakers for the score; all others teach.

    Raises:
        CorpusError: one of the two would have no clips.
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
    """Hold out speakers as `by_speaker` does, and every fourth sentence from those that are left: nobody says it.

    Raises:
        CorpusError: one of the two would have no clips.
    """
    sentences = sorted({clip.sentence for clip in clips})[test_block - 1 :: len(BLOCKS)]
    split = by_speaker(clips, test_block)
    train = [clip for clip in split.train if clip.sentence not in sentences]
    test = [clip for clip in split.test if clip.sentence in sentences]
    if not (train and test):
        raise CorpusError(f"no sentences can be held out: each block needs several, these clips have {len(sentences)}")
    return Split(train, test)


def by_file(clips: Sequence[Clip], quarter: int) -> Split:
    """Hold out a random quarter of the files for the score; all others teach: leaky.

    Chance is a hash of each clip, so that a file is in the same quarter whichever others are there.

    Raises:
        CorpusError: there are so few that one of the two would have none.
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
    """Return who speaks in these clips, ascending."""
    return sorted({clip.speaker for clip in clips})


def span(block: int) -> str:
    """Return the block's first and last speaker, for people."""
    return f"{BLOCKS[block][0]}-{BLOCKS[block][-1]}"
