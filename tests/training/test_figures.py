"""The pictures of the recordings show what is in them."""

from pathlib import Path

import numpy as np
import pytest

from training import corpora, figures
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
