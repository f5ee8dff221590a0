"""A recipe's clips come from one corpus or several, with its labels, or one sentence says why not."""

import re
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from models.runtime import synthetic_clip
from training import asked, emodb, recipe, recordings, splits
from training.commands import train
from training.corpora import CorpusError
from training.recipe import RecipeError
from training.settings import TrainSettings
from training.splits import Fold

EIGHT = ("ANG", "CAL", "DIS", "FEA", "HAP", "NEU", "SAD", "SUR")
SUNG = ("01", "02", "03", "04", "05", "06")


def sing(folder: Path, actor: int) -> None:
    """Write the 44 files of song of an actor, empty."""
    place = folder / "ravdess" / "song" / f"Actor_{actor:02}"
    place.mkdir(parents=True)
    kinds = [("01", "01"), *product(SUNG[1:], ("01", "02"))]
    for (emotion, intensity), statement, repetition in product(kinds, ("01", "02"), ("01", "02")):
        name = f"03-02-{emotion}-{intensity}-{statement}-{repetition}-{actor:02}.wav"
        (place / name).write_text(name)


def speak(folder: Path, actor: int) -> None:
    """Write the 60 files of speech of an actor, empty."""
    place = folder / "ravdess" / f"Actor_{actor:02}"
    place.mkdir(parents=True)
    kinds = [("01", "01"), *product(("02", "03", "04", "05", "06", "07", "08"), ("01", "02"))]
    for (emotion, intensity), statement, repetition in product(kinds, ("01", "02"), ("01", "02")):
        name = f"03-01-{emotion}-{intensity}-{statement}-{repetition}-{actor:02}.wav"
        (place / name).write_text(name)


def own(folder: Path, *files: str) -> Path:
    """Write a clip for each of these paths, another sound each."""
    for number, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(-30, 30, 20_000, np.int16)
        soundfile.write(folder / name, synthetic_clip(20_000) + noise, 16_000)
    return folder


def plan(**changes: object) -> recipe.Recipe:
    """Return `tiny` with changes."""
    return msgspec.structs.replace(recipe.load("tiny"), **changes)


@pytest.fixture
def actors(tmp_path: Path) -> Path:
    """Return a folder with the speech of eight actors of RAVDESS and the song of two of them."""
    for actor in (1, 2, 5, 6, 9, 10, 13, 17):
        speak(tmp_path, actor)
    for actor in (1, 2):
        sing(tmp_path, actor)
    return tmp_path


def test_several_corpora_are_one(actors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Corpora keep their order, an actor who speaks and sings is one speaker, speakers of two corpora are two."""
    monkeypatch.setattr(emodb, "FILES", 1)
    (actors / "emodb").mkdir()
    (actors / "emodb" / "09a01Wa.wav").write_text("anger")

    found = recordings.read(plan(corpora=("ravdess-song", "ravdess", "emodb"), labels=EIGHT), actors)

    assert list(dict.fromkeys(clip.corpus for clip in found)) == ["ravdess-song", "ravdess", "emodb"]
    assert {clip.speaker for clip in found if clip.corpus == "ravdess-song"} == {1, 2}
    assert {clip.speaker for clip in found if clip.sha256 == found[-1].sha256} == {209}
    assert len(found) == 2 * 44 + 8 * 60 + 1


def test_labels_are_mapped(actors: Path) -> None:
    """Calm counts as neutral where a recipe says so, and other labels are left out."""
    found = recordings.read(plan(corpora=("ravdess",), labels=("ANG", "NEU"), merged={"CAL": "NEU"}), actors)

    assert {label: sum(clip.label == label for clip in found) for label in ("ANG", "NEU")} == {"ANG": 64, "NEU": 96}


def test_sixteen_classes_are_sex_and_emotion(actors: Path) -> None:
    """A label by sex says who speaks and how."""
    labels = tuple(f"{sex}_{label}" for sex in "FM" for label in EIGHT)

    found = recordings.read(plan(corpora=("ravdess",), labels=labels, by_sex=True), actors)

    assert {clip.label for clip in found} == set(labels)
    assert {clip.label[0] for clip in found if clip.speaker == 2} == {"F"}


@pytest.mark.parametrize("split", ["speakers", "leaky", "order"])
def test_no_actor_is_on_both_sides(actors: Path, split: str) -> None:
    """With speakers held out nobody is on two sides, song included; the leaky splits have somebody on both."""
    chosen = plan(corpora=("ravdess-song", "ravdess"), labels=EIGHT)
    clips = recordings.read(chosen, actors)
    blocks = sorted(splits.blocks_of(clips)) if split == "speakers" else [1]

    for block in blocks:
        parts = splits.of(clips, Fold(block, 1, split), chosen)
        shared = {clip.speaker for clip in parts.train} & {clip.speaker for clip in parts.test}
        assert len(parts.train) + len(parts.test) == len(clips)
        assert bool(shared) == (split != "speakers")
    assert split != "speakers" or blocks == [1, 2, 3, 4, 5]


def test_the_real_corpora_have_their_folds(real_data_dir: Path) -> None:
    """Each real corpus is whole, its blocks share no speaker and leave nobody out."""
    for name, count, blocks in (
        ("crema-d", 5_879, 4),
        ("ravdess", 1_200, 5),
        ("ravdess-song", 836, 5),
        ("emodb", 535, 2),
    ):
        clips = recordings.read(plan(corpora=(name,), labels=recordings.labels_of(name)), real_data_dir)
        found = splits.blocks_of(clips)
        assert (len(clips), len(found)) == (count, blocks)
        assert sum(map(len, found.values())) == len(set.union(*map(set, found.values())))
        assert {clip.speaker for clip in clips} <= set.union(*map(set, found.values()))


def test_a_table_names_files_labels_and_speakers(tmp_path: Path) -> None:
    """A CSV file gives label, speaker and sex of each recording, by its path from the table."""
    own(tmp_path, "a/1.flac", "a/2.flac", "b/3.flac")
    table = tmp_path / "mine.csv"
    table.write_text(
        "file,label,speaker,sex\na/1.flac,calm,anna,F\na/2.flac,Tense,anna,female\nb/3.flac,tense,bert,M\n"
    )

    found = recordings.read(plan(corpora=(str(table),), labels=("F_TENSE", "M_TENSE", "F_CALM"), by_sex=True), tmp_path)

    assert [(clip.label, clip.speaker) for clip in found] == [
        ("F_CALM", 10_001),
        ("F_TENSE", 10_001),
        ("M_TENSE", 10_002),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": ("ANG", "JOY")}, "no clip of ravdess has the label JOY: their labels are ANG, CAL"),
        ({"labels": ("ANG", "NEU"), "merged": {"CAM": "NEU"}}, "merged names CAM, which is no label of ravdess"),
        (
            {"corpora": ("nowhere",)},
            "no corpus 'nowhere': give crema-d, ravdess, ravdess-song, emodb, prompts, or a folder",
        ),
        ({"corpora": ("emodb",)}, "holds 0 of the 535 recordings of EmoDB"),
        ({"corpora": ("ravdess-song",), "labels": ("ANG", "DIS")}, "no clip of ravdess-song has the label DIS"),
    ],
)
def test_what_does_not_fit_is_told(actors: Path, changes: dict[str, object], reason: str) -> None:
    """A label that no corpus has, a map of nothing, and a corpus that is not there are each one sentence."""
    with pytest.raises(CorpusError, match=reason):
        recordings.read(plan(**{"corpora": ("ravdess",), "labels": ("ANG", "HAP"), **changes}), actors)


def test_half_an_actor_of_song_is_told(actors: Path) -> None:
    """A recording of song that is missing is noticed, with the archive that has it."""
    next((actors / "ravdess" / "song" / "Actor_01").iterdir()).unlink()

    with pytest.raises(CorpusError, match=r"holds 87 of the 1012 recordings of RAVDESS song.*Audio_Song_Actors_01-24"):
        recordings.read(plan(corpora=("ravdess-song",), labels=("ANG", "HAP")), actors)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            ("calm/1.flac", "tense/2.flac"),
            "who speaks in 2 of 2 clips is not known, the first is .*: give each speaker",
        ),
        (("calm/anna/1.flac", "tense/anna/2.flac"), "2 clips are all of one speaker: give those of others too, or"),
        (("calm/anna/1.flac", "angry/anna/2.flac"), "angry is no label: name the folders CALM"),
        (("calm/anna/1.flac",), "has the label TENSE: their labels are CALM"),
    ],
)
def test_a_set_that_cannot_be_split_is_told(
    tmp_path: Path, files: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder of one's own without speakers, of one speaker, with a strange label or without one is a sentence."""
    folder = own(tmp_path / "mine", *files)

    assert train(TrainSettings(corpus=str(folder), labels="calm,tense", runs_dir=tmp_path / "runs")) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert re.search(reason, error)


def test_a_clip_in_two_splits_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same recording under two speakers' names would be heard in training and test."""
    folder = own(
        tmp_path / "mine", *(f"{label}/{who}/1.flac" for label in ("calm", "tense") for who in ("anna", "bert"))
    )
    (folder / "calm" / "bert" / "1.flac").write_bytes((folder / "calm" / "anna" / "1.flac").read_bytes())

    assert train(TrainSettings(corpus=str(folder), runs_dir=tmp_path / "runs")) == 2
    assert "is the same recording as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"corpus": "emodb", "labels": "ANG"}, "labels is 'ANG': name at least two"),
        ({"corpus": "prompts"}, "prompts has the label NEU alone: a model tells two labels or more apart"),
        ({"corpus": "emodb", "labels": "ang,sad-ness"}, "label 'SAD-NESS' is not allowed"),
        (
            {"recipe": "six", "corpus": "emodb"},
            "six-6 is taught what its labels are: choose another recipe, such as own",
        ),
    ],
)
def test_what_cannot_be_asked_for_is_told(settings: dict[str, str], reason: str) -> None:
    """One label, a label that the wire refuses, and another corpus for a recipe with teachers are each one sentence."""
    with pytest.raises(RecipeError, match=reason):
        asked.plan(TrainSettings(**settings))


def test_without_labels_all_of_a_corpus_are_learned() -> None:
    """A corpus of one's own gives the model its name, and a known one its labels."""
    found = asked.plan(TrainSettings(corpus="emodb"))

    assert (found.name, found.labels) == ("emodb-1", ("ANG", "BOR", "DIS", "FEA", "HAP", "NEU", "SAD"))
