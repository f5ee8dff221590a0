"""The corpora that moodwire knows: how they are read, who speaks, and on what terms one may learn from them."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.bundle import Manifest
from training import corpora, emodb, prompts, ravdess
from training.corpora import EMOTIONS, Clip

TAUGHT_BY = "crema-d"
"""The corpus that taught a model whose manifest names none."""
OWN = 10_000
"""Speakers of recordings of one's own have greater numbers."""


class Corpus(NamedTuple):
    """A corpus of emotional speech."""

    title: str
    languages: tuple[str, ...]
    read: Callable[[Path, tuple[str, ...]], list[Clip]]
    """Takes `recordings_dir` and the wanted labels."""
    name: re.Pattern[str]
    """Of its files, without their ending; the group `speaker` is the speaker's number."""
    labels: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    """Speakers that are held out together; empty: it only trains, and nothing is scored on it."""
    citation: str
    """Authors, title, where it was published."""
    licence: str
    commercial: bool
    """Whether a model that learned from it may be used commercially."""
    left_out: str = ""
    """Emotions that no shipped model has a label for."""
    voices: str = ""
    """Key of the corpus whose speakers these are, if they are not its own."""
    offset: int = 0
    """Added to speakers' numbers, so that no two corpora share one."""


class Voice(NamedTuple):
    """A speaker of a known corpus."""

    corpus: str
    """A key of `CORPORA`."""
    speaker: int


_RAVDESS = (
    'Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE '
    "13(5): e0196391, 2018"
)
_OF_RAVDESS = tuple(tuple(range(first, first + 4)) for first in (1, 5, 9, 13, 17))
"""Five folds of two men and two women. Actors 21 to 24 are in none: they neither train nor score."""

CORPORA = {
    TAUGHT_BY: Corpus(
        "CREMA-D",
        ("English",),
        corpora.read_clips,
        re.compile(rf"(?P<speaker>1\d{{3}})_[A-Z]{{3}}_(?:{'|'.join(EMOTIONS)})_(?:LO|MD|HI|XX?)"),
        labels=tuple(EMOTIONS),
        blocks=tuple(tuple(range(first, first + 18)) for first in (1001, 1019, 1037, 1055)),
        citation='Cao, Cooper, Keutmann, Gur, Nenkova and Verma, "CREMA-D: Crowd-sourced Emotional Multimodal Actors '
        'Dataset", IEEE Transactions on Affective Computing 5(4), 2014',
        licence="Open Database License 1.0, contents under the Database Contents License 1.0",
        commercial=True,
    ),
    "ravdess": Corpus(
        "RAVDESS",
        ("English",),
        ravdess.read_clips,
        ravdess.NAME,
        labels=tuple(sorted(ravdess.LABELS.values())),
        blocks=_OF_RAVDESS,
        citation=_RAVDESS,
        licence="CC BY-NC-SA 4.0: no commercial use",
        commercial=False,
        left_out="calm and surprised",
    ),
    "ravdess-song": Corpus(
        "RAVDESS song",
        ("English",),
        ravdess.read_song,
        ravdess.NAME,
        labels=("ANG", "CAL", "FEA", "HAP", "NEU", "SAD"),
        blocks=_OF_RAVDESS,
        citation=_RAVDESS,
        licence="CC BY-NC-SA 4.0: no commercial use",
        commercial=False,
        left_out="calm",
        voices="ravdess",
    ),
    "emodb": Corpus(
        "EmoDB",
        ("German",),
        emodb.read_clips,
        emodb.NAME,
        labels=tuple(sorted(emodb.LABELS.values())),
        blocks=((203, 208, 209, 210, 211), (212, 213, 214, 215, 216)),
        citation='Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, "A Database of German Emotional Speech", '
        "Interspeech 2005",
        licence="CC0 1.0 by its own metadata, Attribution 4.0 by its record",
        commercial=True,
        left_out="boredom",
        offset=200,
    ),
    "prompts": Corpus(
        "Asterisk's prompts",
        ("English", "Spanish", "French", "Italian", "Russian"),
        prompts.read_clips,
        prompts.NAME,
        labels=(prompts.LABEL,),
        blocks=(),
        citation="announcements of the telephone system Asterisk (asterisk-core-sounds 1.6.1), read by Allison Smith, "
        "June Wallack, Carlo Flora and Maxim Topal's ivrvoice.ru, and assumed to be neutral",
        licence="Creative Commons Attribution 3.0 (Italian, Russian) and Attribution-ShareAlike 3.0",
        commercial=True,
        offset=300,
    ),
}
"""Blocks of CREMA-D are those of EMO-SUPERB, its published speaker-disjoint split. EmoDB's are two of five speakers,
since some of its speakers lack an emotion."""
SCORED = {name: corpus for name, corpus in CORPORA.items() if corpus.blocks}
"""Those whose labels somebody vouches for, so that models are measured on them."""


def read(name: str, recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips of a known corpus with these labels; their speakers have numbers that no other corpus uses.

    Raises:
        CorpusError: recordings are missing, or a label is not one of the corpus.
    """
    corpus = CORPORA[name]
    clips = corpus.read(recordings_dir, labels)
    return [msgspec.structs.replace(clip, speaker=clip.speaker + corpus.offset) for clip in clips]


def voice(stem: str) -> Voice | None:
    """Return who speaks in a recording by the name of its file; None if that is the name of no known corpus."""
    for name, corpus in CORPORA.items():
        if found := corpus.name.fullmatch(stem):
            return Voice(name, int(found["speaker"]))
    return None


def number(known: Voice) -> int:
    """Return the number of a voice, which no other corpus uses."""
    return known.speaker + CORPORA[known.corpus].offset


def voice_of(speaker: int) -> Voice | None:
    """Return who has a number; None for a speaker of recordings of one's own, or if nobody knows who speaks."""
    if speaker > OWN or speaker < 1:
        return None
    if speaker > 1000:
        return Voice(TAUGHT_BY, speaker)
    own = {name: corpus.offset for name, corpus in CORPORA.items() if name != TAUGHT_BY and not corpus.voices}
    name = max((name for name in own if own[name] < speaker), key=own.__getitem__)
    return Voice(name, speaker - own[name])


def only_trains(speaker: int) -> bool:
    """Return whether a speaker is of a corpus on which nothing is scored."""
    known = voice_of(speaker)
    return known is not None and known.corpus not in SCORED


def taught(manifest: Manifest) -> tuple[str, ...]:
    """Return the corpora that trained a model: keys of `CORPORA`, and names of recordings of one's own."""
    told = manifest.measured.get("corpora")
    return tuple(told) if told else (TAUGHT_BY,)


def is_own(corpus: str, manifest: Manifest) -> bool:
    """Return whether a corpus taught a model, or another one did in which the same speakers are heard.

    Args:
        corpus: a key of `CORPORA`.
        manifest: of the model.
    """
    return _whose(corpus) in map(_whose, taught(manifest))


def titles(manifest: Manifest) -> str:
    """Return the names of the corpora that taught a model, for people."""
    told = manifest.measured.get("corpora", {})
    names = [told[name]["title"] if name in told else CORPORA[name].title for name in taught(manifest)]
    return corpora.listed(names)


def _whose(corpus: str) -> str:
    """Return the corpus whose speakers these are."""
    return (CORPORA[corpus].voices or corpus) if corpus in CORPORA else corpus


def taught_by(manifest: Manifest) -> set[Voice] | None:
    """Return the speakers of known corpora that trained a model; None if its manifest does not name them."""
    if "speakers" not in manifest.measured:
        return None
    found = (voice_of(speaker) for speaker in manifest.measured["speakers"]["train"])
    return {known for known in found if known is not None}


def blocks(clips: Iterable[Clip]) -> dict[int, frozenset[int]]:
    """Return the blocks of speakers of these clips, by their number from 1; each speaker is in one.

    Of several corpora the first blocks are held out together, then the second ones. Up to five blocks are made of
    speakers of one's own.
    """
    there = {clip.speaker for clip in clips}
    parts = [corpus.blocks for corpus in CORPORA.values() if any(there & set(block) for block in corpus.blocks)]
    own = sorted(speaker for speaker in there if speaker > OWN)
    parts.append(tuple(tuple(own[first :: min(5, len(own))]) for first in range(min(5, len(own)))))
    return {
        place + 1: frozenset(speaker for part in parts if place < len(part) for speaker in part[place])
        for place in range(max(map(len, parts)))
    }
