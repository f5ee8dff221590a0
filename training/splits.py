"""Splits into training and test clips, by speaker: no model is scored on a voice that it was trained on.

The splits from which most published numbers come are there under their names, to show by how much they flatter:
`leaky`, `copies` and `order`. They make no bundle.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from training import catalogue
from training.catalogue import CORPORA
from training.corpora import UNKNOWN, Clip, CorpusError
from training.recipe import PeerRecipe, Recipe

SPLITS = {"speakers": "block", "sentences": "sentences", "leaky": "leaky", "copies": "copies", "order": "order"}
"""Ways to hold clips out, with the prefix of their run folders: unheard speakers; unheard speakers with unheard
sentences; files at random, whoever speaks; altered copies of the files at random; the last fifth of the list of files.
"""
LEAKY = ("leaky", "copies", "order")
"""Those that have the speakers of the score in training too."""
RELEASE = "release"
"""Nothing is held out: the shipped model. The other models of its recipe give its scores."""
FIRST_SHARE = 0.8
"""Of the list of files, what the split `order` trains on."""
LEAKY_PARTS = 4
"""Parts of the files of which a split at random holds one out."""

Blocks = Mapping[int, frozenset[int]]
"""Speakers that are held out together, by the block's number."""


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

    def title(self, recipe: Recipe) -> str:
        """Return what is held out, for people."""
        held_out = {
            "speakers": span(recipe, self.block),
            "sentences": f"{span(recipe, self.block)} and a quarter of the sentences",
            "leaky": f"quarter {self.block} of the files (leaky)",
            "copies": f"quarter {self.block} of the files and of their altered copies (leaky)",
            "order": "the last fifth of the files (leaky)",
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
    """Return the training and the test clips of a fold of a recipe; altered copies train and are not scored.

    With the split `copies` they are scored too. Clips of a corpus on which nothing is scored always train.

    Raises:
        CorpusError: there would be none of either, or a recording would be in both.
    """
    if fold.split == RELEASE:
        return Split(list(clips), [])
    holding_out = {
        "speakers": by_speaker,
        "sentences": by_sentence,
        "leaky": by_file,
        "copies": by_file,
        "order": by_order,
    }
    kinds = recipe.renderings if isinstance(recipe, PeerRecipe) else ()
    further = [clip for clip in clips if catalogue.only_trains(clip.speaker)]
    clips = [clip for clip in clips if not catalogue.only_trains(clip.speaker)]
    if fold.split == "copies":
        if not kinds:
            raise CorpusError(f"{recipe.name} makes no altered copies: choose another split than copies")
        clips = copied(clips, kinds)
    split = holding_out[fold.split](clips, fold.block)
    split = msgspec.structs.replace(split, train=split.train + further)
    if fold.split not in LEAKY:
        _check(split)
    if isinstance(recipe, PeerRecipe) and recipe.balanced:
        split = msgspec.structs.replace(split, train=balanced(split.train, fold.seed))
    if fold.split != "copies":
        split = msgspec.structs.replace(split, train=copied(split.train, kinds))
    return split


def copied(clips: Sequence[Clip], kinds: Sequence[str]) -> list[Clip]:
    """Return clips, and an altered copy of each for each of these kinds."""
    return [msgspec.structs.replace(clip, copy=number) for number in range(len(kinds) + 1) for clip in clips]


def _check(split: Split) -> None:
    """Raise `CorpusError` if a recording is on both sides."""
    train = {clip.sha256: clip for clip in split.train}
    if both := [clip for clip in split.test if clip.sha256 in train]:
        raise CorpusError(
            f"{both[0].path} is the same recording as {train[both[0].sha256].path}, and would be in training and test: "
            "delete one of them, or name one speaker for both"
        )


def by_speaker(clips: Sequence[Clip], test_block: int) -> Split:
    """Hold out one block of speakers; all others train.

    Raises:
        CorpusError: there would be no training or no test clips, or nobody knows who speaks.
    """
    blocks = blocks_of(clips)
    others = {speaker for number, block in blocks.items() if number != test_block for speaker in block}
    train = [clip for clip in clips if clip.speaker in others]
    test = [clip for clip in clips if clip.speaker in blocks.get(test_block, ())]
    for name, part in (("train", train), ("test", test)):
        if not part:
            raise CorpusError(
                f"no clips to {name} on when block {test_block} of {len(blocks)} is held out: "
                "the corpus must have speakers of every block"
            )
    return Split(train, test)


def blocks_of(clips: Sequence[Clip]) -> Blocks:
    """Return the blocks of speakers of these clips.

    Raises:
        CorpusError: nobody knows who speaks in some of them, or there is one speaker alone.
    """
    if unknown := [clip for clip in clips if clip.speaker == UNKNOWN]:
        raise CorpusError(
            f"who speaks in {len(unknown)} of {len(clips)} clips is not known, the first is {unknown[0].path}: "
            "give each speaker a folder, such as CALM/anna/1.wav, or hold out files with --split leaky, whose score "
            "says nothing about other voices"
        )
    blocks = catalogue.blocks(clips)
    if len(blocks) < 2:
        raise CorpusError(
            f"{len(clips)} clips are all of one speaker: give those of others too, or hold out files with --split "
            "leaky, whose score says nothing about other voices"
        )
    return blocks


def by_sentence(clips: Sequence[Clip], test_block: int) -> Split:
    """Hold out speakers as `by_speaker` does, and every fourth sentence: test clips are of both, training of neither.

    Raises:
        CorpusError: there would be no training or no test clips.
    """
    sentences = sorted({clip.sentence for clip in clips})[test_block - 1 :: len(blocks_of(clips))]
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
    drawn = [_draw(clip) % LEAKY_PARTS == quarter - 1 for clip in clips]
    train = [clip for clip, tested in zip(clips, drawn, strict=True) if not tested]
    test = [clip for clip, tested in zip(clips, drawn, strict=True) if tested]
    if not (train and test):
        raise CorpusError(f"{len(clips)} clips are too few to be split at random: give at least some dozens")
    return Split(train, test)


def _draw(clip: Clip) -> int:
    """Return a random number that is a recording's own, and another one for each altered copy of it."""
    text = clip.sha256 + f" copy {clip.copy}" * bool(clip.copy)
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def by_order(clips: Sequence[Clip], _block: int) -> Split:
    """Hold out the last fifth of the clips, by corpus, then speaker, then name: leaky, where a voice is in two corpora.

    Raises:
        CorpusError: there would be no training or no test clips.
    """
    corpora = list(dict.fromkeys(clip.corpus for clip in clips))
    ordered = sorted(clips, key=lambda clip: (corpora.index(clip.corpus), clip.speaker, clip.path.name))
    count = int(FIRST_SHARE * len(ordered))
    if not 0 < count < len(ordered):
        raise CorpusError(f"{len(clips)} clips are too few to be split by their order: give at least some dozens")
    return Split(ordered[:count], ordered[count:])


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


def span(recipe: Recipe, block: int) -> str:
    """Return the first and last speaker of a block of known corpora, such as `1001-1018`."""
    known = [CORPORA[name].blocks for name in recipe.corpora if name in CORPORA]
    spans = dict.fromkeys(f"{blocks[block - 1][0]}-{blocks[block - 1][-1]}" for blocks in known if block <= len(blocks))
    return ", ".join(spans) or f"block {block}"
