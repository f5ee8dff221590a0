"""Reads the prompts of the telephone system Asterisk: announcements that four people read in an even voice.

Nobody has labelled them. They count as neutral speech, which is assumed of announcements and asserted of no single one;
so they only train, and no model is scored on them. They are of five languages, of four microphones and studios, and of
a telephone's band.
"""

import re
from pathlib import Path

from common.audio_files import AudioFile, AudioFileError
from training.corpora import Clip, CorpusError, sha256

FOLDER = "prompts"
LABEL = "NEU"
NAME = re.compile(r"prompt-(?P<speaker>[1-4])-(?P<language>en|es|fr|it|ru)-(?P<text>.+)")
"""Of a file, without its ending."""
VOICES = {
    "en": (1, "en_US_f_Allison"),
    "es": (1, "es_MX_f_Allison"),
    "fr": (2, "fr_CA_f_June"),
    "it": (3, "it_IT_m_Carlo"),
    "ru": (4, "ru_RU_f_IvrvoiceRU"),
}
"""Who speaks each language, and the folder of its prompts in their package. One person speaks two of them."""
MEN = {3}
FILES = {"en": 558, "es": 517, "fr": 551, "it": 589, "ru": 566}
"""How many recordings there are of each language, without those of silence."""
SHORTEST_S, LONGEST_S = 1.0, 5.0
"""Shorter ones are single letters and digits, longer ones are lists of choices with pauses."""


def recordings(recordings_dir: Path, language: str | None = None) -> list[Path]:
    """Return the recordings of a language, or of all, that are there, by name."""
    files = (recordings_dir / FOLDER).glob("*.wav")
    found = [(file, NAME.fullmatch(file.stem)) for file in files]
    return sorted(file for file, name in found if name and language in {None, name["language"]})


def read_clips(recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the prompts of 1 to 5 s, all of them labelled neutral, by the names of their files.

    Raises:
        CorpusError: the folder or some of its recordings are missing, or a label is another one.
    """
    if unknown := [label for label in labels if label != LABEL]:
        raise CorpusError(f"the prompts have no label {unknown[0]!r}: all of them are {LABEL}")
    files = recordings(recordings_dir)
    if len(files) != sum(FILES.values()):
        raise CorpusError(
            f"{recordings_dir / FOLDER} holds {len(files)} of the {sum(FILES.values())} prompts of Asterisk: fetch "
            "them with `moodwire data fetch prompts`"
        )
    return [_clip(file) for file in files if labels and SHORTEST_S <= _length_s(file) <= LONGEST_S]


def path_of(member: str) -> str | None:
    """Return the path that a file of a package gets; None for what is no prompt."""
    for language, (speaker, folder) in VOICES.items():
        _, found, name = member.partition(f"/sounds/{folder}/")
        if found and name.endswith(".wav") and not name.startswith("silence/"):
            return f"prompt-{speaker}-{language}-{name.replace('/', '-')}"
    return None


def _length_s(file: Path) -> float:
    try:
        with AudioFile(file) as sound:
            return sound.frames / sound.rate_hz
    except AudioFileError as error:
        raise CorpusError(f"{error}; delete it, and fetch the prompts again") from error


def _clip(file: Path) -> Clip:
    found = NAME.fullmatch(file.stem)
    assert found is not None  # `recordings` lists no others
    speaker = int(found["speaker"])
    return Clip(
        path=file,
        speaker=speaker,
        sex="Male" if speaker in MEN else "Female",
        label=LABEL,
        sentence=found["text"],
        sha256=sha256(file),
    )
