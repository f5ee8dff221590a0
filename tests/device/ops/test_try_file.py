"""A recording is heard as a device would hear it, and one command says what it was taken for."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import moodwire

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def settings_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no file of the person who runs the tests interfere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def tried(capsys: pytest.CaptureFixture[str], file: Path, *flags: str) -> list[str]:
    """Return the lines that are printed of a recording."""
    assert moodwire.main(["device", "try", str(file), *flags]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_window_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a sample the windows follow each other by a second, their shares sum to 100 %, and the last line counts."""
    head, *lines, summary = tried(capsys, ROOT / "samples" / "1-kettle.flac")

    assert head.startswith("ang-hap-neu-")
    assert lines[0].startswith("   0.0 to   3.0 s")
    assert lines[1].startswith("   1.0 to   4.0 s")
    spoken = [line for line in lines if "%" in line]
    assert spoken
    for line in spoken:
        assert sum(int(word.rstrip("%")) for word in line.split() if word.endswith("%")) == pytest.approx(100, abs=1)
    assert summary.startswith(f"of {len(spoken)} window")


def test_a_short_recording_is_heard_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Less than a window, at another rate, is one window; another model has other labels."""
    spoken, rate_hz = soundfile.read(ROOT / "samples" / "1-kettle.flac")
    start = int(np.abs(spoken).argmax())
    short = soxr.resample(spoken[max(0, start - rate_hz // 2) :][: int(1.4 * rate_hz)], rate_hz, 44_100)
    soundfile.write(tmp_path / "short.wav", short, 44_100)

    head, line, summary = tried(capsys, tmp_path / "short.wav", "--model", "six")

    assert head.startswith("six-")
    assert line.startswith("   0.0 to   1.4 s")
    assert "DIS" in line
    assert summary.startswith("of 1 window with speech: ")


def test_silence_is_not_given_an_emotion(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where nobody speaks, no scores are made up."""
    soundfile.write(tmp_path / "quiet.wav", np.zeros(64_000), 16_000)

    assert tried(capsys, tmp_path / "quiet.wav")[1:] == [
        "   0.0 to   3.0 s  nobody speaks",
        "   1.0 to   4.0 s  nobody speaks",
        "no speech was heard",
    ]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "name a recording: moodwire device try FILE"),
        (["nowhere.wav"], "'nowhere.wav' cannot be read (No such file or directory); name another"),
        (["README.md"], "'README.md' is not audio that libsndfile can read"),
        (["README.md", "--model", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_heard_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is missing or no sound, and a model that is none, end the command with code 2."""
    monkeypatch.chdir(ROOT)

    assert moodwire.main(["device", "try", *argv]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert sentence in line
