"""The pictures of the recordings show what is in them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.runtime import synthetic_clip
from training import corpora, emodb, figures
from training.settings import FiguresSettings


@pytest.mark.slow
def test_one_command_draws_all_pictures(
    recordings_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five pictures are written, each larger than an empty one; without recordings there is a sentence."""
    out = tmp_path / "figures"

    assert figures.figures(FiguresSettings(recordings_dir, out)) == 0
    assert figures.figures(FiguresSettings(tmp_path, out)) == 2

    assert {path.stem for path in out.iterdir() if path.stat().st_size > 10_000} == {
        "amplitude",
        "amplitude-3d",
        "counts",
        "examples",
        "lengths",
    }
    assert "recordings_dir must name" in capsys.readouterr().err


@pytest.mark.slow
def test_another_corpus_has_pictures_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their names begin with the corpus; a label that one of the two speakers never portrays leaves a gap."""
    names = ["03a01Wa", "03a01La", "03a02Wa", "08a01Wa"]
    monkeypatch.setattr(emodb, "FILES", len(names))
    (tmp_path / "emodb").mkdir()
    for number, name in enumerate(names):
        soundfile.write(tmp_path / "emodb" / f"{name}.flac", synthetic_clip(20_000 + number), 16_000)

    assert figures.figures(FiguresSettings(tmp_path, tmp_path / "out", "emodb")) == 0

    assert "wrote 5 pictures" in capsys.readouterr().out
    assert all(path.name.startswith("emodb-") for path in (tmp_path / "out").iterdir())
    with pytest.raises(ValueError, match="corpus is 'x': choose one of crema-d, ravdess, ravdess-song, emodb"):
        FiguresSettings(corpus="x")


def test_a_woman_and_a_man_say_the_same(recordings_dir: Path) -> None:
    """The examples have four rows, of the first speaker of each sex, and a column for each emotion."""
    clips = corpora.read_clips(recordings_dir, tuple(corpora.EMOTIONS))

    axes = figures.examples(clips).axes
    figures.plt.close("all")

    titles = [each.get_title() for each in axes if each.get_title()]
    assert titles[:2] == ["anger\n1001_IEO_ANG_XX", "happiness\n1001_IEO_HAP_XX"]
    assert titles[4:6] == ["1002_IEO_ANG_XX", "1002_IEO_HAP_XX"]
    assert [each.get_ylabel() for each in axes if each.get_ylabel()] == ["woman", "mel band", "man", "mel band"]


def test_amplitude_is_that_of_the_clips(recordings_dir: Path) -> None:
    """Loud voices are drawn above quiet ones, by what their samples say."""
    clips = corpora.read_clips(recordings_dir, ("ANG", "SAD"))

    levels = figures.amplitudes(clips)

    first = np.mean([(corpora.read_audio(clip, 16_000)[:800] / 32_768) ** 2 for clip in clips if clip.label == "SAD"])
    assert levels["SAD"][0] == pytest.approx(10 * np.log10(first))
    assert levels["ANG"].max() > levels["SAD"].max() + 10


def test_every_clip_is_counted(recordings_dir: Path) -> None:
    """The bars of the lengths, and those of the sentences, add up to the number of clips."""
    clips = corpora.read_clips(recordings_dir, tuple(corpora.EMOTIONS))

    lengths = figures.lengths(clips).axes[0]
    sentences = figures.counts(clips).axes[0]
    figures.plt.close("all")

    assert max(bar.get_y() + bar.get_height() for bar in lengths.patches) <= len(clips)
    assert sum(bar.get_height() for bar in sentences.patches) == len(clips)
