"""Recordings to measure a model on, and whether it has heard the people who speak in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.bundle import Bundle, BundleError
from training import catalogue, folders, score
from training.catalogue import CORPORA, OWN, SCORED, Voice
from training.corpora import UNKNOWN, Clip, CorpusError


class Recordings(NamedTuple):
    """Recordings with what is known of them."""

    corpus: str
    """A key of `CORPORA`, or the folder."""
    clips: list[Clip]
    voices: Mapping[int, Voice | str]
    """Who the clips' speakers are."""
    passed_over: list[str]
    """A sentence for each file that was left out."""

    @property
    def title(self) -> str:
        """For people."""
        return CORPORA[self.corpus].title if self.corpus in CORPORA else self.corpus

    def name(self, speaker: str) -> str:
        """Return a speaker's name or number for people."""
        found = self.voices[int(speaker)]
        return f"{found.speaker} of {CORPORA[found.corpus].title}" if isinstance(found, Voice) else found


def read(recordings_dir: Path, corpus: str, made: Bundle) -> Recordings:
    """Return recordings with a bundle's labels; of a corpus that taught it, those of speakers that it never heard.

    Args:
        recordings_dir: holds the known corpora.
        corpus: a key of `CORPORA`, or a folder with one folder for each label.
        made: the bundle.

    Raises:
        CorpusError: recordings are missing or cannot be read.
        BundleError: it was trained on all speakers of the corpus, or its manifest does not say.
    """
    labels = made.manifest.labels
    if corpus not in CORPORA:
        found = folders.read(Path(corpus), labels)
        clips = [
            clip if clip.speaker == UNKNOWN else msgspec.structs.replace(clip, speaker=OWN + clip.speaker)
            for clip in found.clips
        ]
        return Recordings(corpus, clips, dict(enumerate(found.speakers, OWN + 1)), found.passed_over)
    if corpus not in SCORED:
        raise CorpusError(
            f"nothing can be measured on {CORPORA[corpus].title}, whose labels are assumed: choose one of "
            f"{', '.join(SCORED)}, or a folder of your own"
        )
    clips = catalogue.read(corpus, recordings_dir, labels)
    if catalogue.is_own(corpus, made.manifest):
        clips = score.unheard(clips, made)
    voices = {clip.speaker: catalogue.voice_of(clip.speaker) for clip in clips}
    return Recordings(corpus, clips, {speaker: voice for speaker, voice in voices.items() if voice}, [])


def all_there(recordings_dir: Path, made: Bundle) -> Iterator[Recordings]:
    """Yield each known corpus that is there and has speakers whom a bundle never heard.

    Raises:
        CorpusError: none is there, or one is not complete.
        BundleError: nothing is there but corpora that taught it, and it has heard all of their speakers.
    """
    there = [name for name in SCORED if (recordings_dir / name).is_dir()]
    if not there:
        raise CorpusError(
            f"{recordings_dir} holds no recordings to measure on: fetch some with `moodwire data fetch emodb`, name "
            "the folder that holds them with --recordings-dir, or give recordings of your own with --corpus FOLDER"
        )
    refused = []
    for name in there:
        try:
            yield read(recordings_dir, name, made)
        except BundleError as error:
            refused.append(error)
    if len(refused) == len(there):
        raise refused[0]


def who(found: Recordings, made: Bundle) -> str:
    """Return how many clips of whom these are, and whether they have trained a bundle, as sentences."""
    trained = catalogue.taught_by(made.manifest)
    numbers = {clip.speaker for clip in found.clips}
    voices = [found.voices[number] for number in numbers - {UNKNOWN}]
    taught = sum(voice in (trained or ()) for voice in voices)
    count = f"{len(found.clips):,} clip{'s' * (len(found.clips) != 1)}"
    if UNKNOWN in numbers:
        unknown = sum(clip.speaker == UNKNOWN for clip in found.clips)
        known = f" Of the speakers that are known, {taught} trained it: these figures say nothing about strangers."
        return (
            f"{count}. Who speaks in {unknown:,} of them is not known: whether this model has heard them before is "
            f"not known either, and there is no interval over speakers.{known * bool(taught)}"
        )
    count += f" of {len(voices)} speaker{'s' * (len(voices) != 1)}"
    if taught:
        return f"{count}. {taught} of them trained this model, so these figures say nothing about strangers."
    if trained is None or not all(isinstance(voice, Voice) for voice in voices):
        return f"{count}; whether this model has heard them before is not known."
    return f"{count} that this model never heard."
