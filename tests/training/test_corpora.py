"""CREMA-D is read whole, or refused in one sentence."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from training import corpora
from training.corpora import CorpusError

LABELS = ("ANG", "HAP", "NEU")


def rewrite(recordings_dir: Path, **changes: str) -> None:
    """Change the first row of the table."""
    table = recordings_dir / "crema-d" / "clips.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0].update(changes)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_clips_of_the_wanted_labels_are_read(recordings_dir: Path) -> None:
    """Only clips with the recipe's labels are returned, with who speaks and who voted what."""
    clips = corpora.read_clips(recordings_dir, ("ANG", "NEU"))

    assert len(clips) == 16
    assert {clip.label for clip in clips} == {"ANG", "NEU"}
    assert clips[0].speaker == 1001
    assert clips[0].votes == {"ANG": 5, "DIS": 2, "FEA": 2, "HAP": 2, "NEU": 2, "SAD": 2}


def test_audio_under_two_labels_is_dropped(recordings_dir: Path) -> None:
    """A clip marked as identical to one with another label is neither trained on nor scored."""
    names = [clip.path.name for clip in corpora.read_clips(recordings_dir, LABELS)]

    assert len(names) == 24
    assert "1001_TIE_HAP_XX.flac" not in names


def test_samples_are_those_of_the_file(recordings_dir: Path) -> None:
    """A clip is read as int16 at its full length."""
    clip = corpora.read_clips(recordings_dir, LABELS)[0]

    samples = corpora.read_audio(clip, 16_000)

    assert samples.dtype == np.int16
    assert len(samples) == clip.samples


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """A folder without the corpus is answered with what recordings_dir must name."""
    with pytest.raises(
        CorpusError, match=r"clips.csv is missing: recordings_dir must name the folder that holds crema-d/"
    ):
        corpora.read_clips(tmp_path, LABELS)


def test_half_a_corpus_is_refused(recordings_dir: Path) -> None:
    """Missing recordings are counted and the first is named."""
    for path in (recordings_dir / "crema-d" / "audio").glob("1019_*"):
        path.unlink()

    with pytest.raises(CorpusError, match=r"3 of 24 clips .* missing, the first is 1019_IEO_ANG_XX.wav"):
        corpora.read_clips(recordings_dir, LABELS)


def test_unknown_label_of_a_recipe_is_refused(recordings_dir: Path) -> None:
    """A label that CREMA-D does not have is answered with those it has."""
    with pytest.raises(CorpusError, match="no label 'JOY': its labels are ANG, DIS, FEA, HAP, NEU, SAD"):
        corpora.read_clips(recordings_dir, ("ANG", "JOY"))


def test_unknown_label_in_the_table_is_refused(recordings_dir: Path) -> None:
    """A row with a label that CREMA-D does not have names its file."""
    rewrite(recordings_dir, emotion="JOY")

    with pytest.raises(CorpusError, match=r"1001_IEO_ANG_XX\.wav has the unknown label 'JOY'"):
        corpora.read_clips(recordings_dir, LABELS)


def test_table_without_a_column_is_refused(recordings_dir: Path) -> None:
    """A table that lacks a column names the column."""
    table = recordings_dir / "crema-d" / "clips.csv"
    table.write_text(table.read_text().replace("actor", "speaker", 1))

    with pytest.raises(CorpusError, match=r"clips.csv has no column 'actor'"):
        corpora.read_clips(recordings_dir, LABELS)


def test_corrupt_clip_is_refused(recordings_dir: Path) -> None:
    """A file that is no audio is named."""
    clip = corpora.read_clips(recordings_dir, LABELS)[0]
    clip.path.write_bytes(b"no audio")

    with pytest.raises(CorpusError, match=r"1001_IEO_ANG_XX\.flac' is not audio"):
        corpora.read_audio(clip, 16_000)


@pytest.mark.parametrize(("samples", "rate_hz"), [(100, 16_000), (None, 8_000)])
def test_shortened_clip_is_refused(recordings_dir: Path, samples: int | None, rate_hz: int) -> None:
    """A file of another length or rate than the table gives is refused."""
    clip = corpora.read_clips(recordings_dir, LABELS)[0]
    soundfile.write(clip.path, np.zeros(samples or clip.samples, np.int16), rate_hz)

    with pytest.raises(CorpusError, match=rf"holds .* at {rate_hz} Hz, clips.csv says {clip.samples} mono samples"):
        corpora.read_audio(clip, 16_000)


def test_digest_does_not_depend_on_order(recordings_dir: Path) -> None:
    """The data's hash depends on which recordings there are, and on votes where they count, but not on the order."""
    clips = corpora.read_clips(recordings_dir, LABELS)
    others = [msgspec.structs.replace(clips[0], votes={"NEU": 1}), *clips[1:]]

    assert corpora.digest(clips) == corpora.digest(reversed(clips)) == corpora.digest(others)
    assert corpora.digest(clips) != corpora.digest(clips[1:])
    assert corpora.digest(clips, votes=True) != corpora.digest(others, votes=True)
