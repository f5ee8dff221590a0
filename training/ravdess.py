"""Reads RAVDESS (Livingstone and Russo 2018): the speech of 24 actors, as its archive unpacks.

Its licence, CC BY-NC-SA 4.0, allows no commercial use: models are measured on it, and none is trained on it.
"""

from pathlib import Path

from training.corpora import Clip, CorpusError, sha256

FOLDER = "ravdess"
LABELS = {"01": "NEU", "03": "HAP", "04": "SAD", "05": "ANG", "06": "FEA", "07": "DIS"}
"""Calm (02) and surprised (08) have no counterpart in CREMA-D."""
FILES = 1_440


def read_clips(recordings_dir: Path, labels: tuple[str, ...]) -> list[Clip]:
    """Return the clips with these labels, by the names of their files.

    Raises:
        CorpusError: the folder or some of its recordings are missing, or a label is not one of RAVDESS.
    """
    folder = recordings_dir / FOLDER
    if unknown := [label for label in labels if label not in LABELS.values()]:
        raise CorpusError(f"RAVDESS has no label {unknown[0]!r}: its labels are {', '.join(sorted(LABELS.values()))}")
    files = sorted(folder.glob("Actor_*/[!.]*.wav"), key=lambda file: file.name)
    if len(files) != FILES:
        raise CorpusError(
            f"{folder} holds {len(files)} of the {FILES} recordings of RAVDESS: fetch them with "
            "`moodwire data fetch ravdess`"
        )
    clips = [_clip(file) for file in files if file.stem.split("-")[2] in LABELS]
    return [clip for clip in clips if clip.label in labels]


def _clip(file: Path) -> Clip:
    _, _, emotion, intensity, statement, _, actor = file.stem.split("-")
    return Clip(
        path=file,
        speaker=int(actor),
        sex="Male" if int(actor) % 2 else "Female",
        age=None,
        label=LABELS[emotion],
        sentence={"01": "kids", "02": "dogs"}[statement],
        intensity={"01": "normal", "02": "strong"}[intensity],
        samples=None,
        sha256=sha256(file),
        votes={},
    )
