"""The doctor's checks of the sound, with each fault provoked."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from diagnoses import SAMPLES, examine, noise
from services import wait_until

from device.inference import voice_detector
from device.ops.doctor_audio import Holder, find_holders
from models.frontend import Samples
from models.runtime import synthetic_clip

pytestmark = pytest.mark.usefixtures("a_device")


@pytest.mark.parametrize(
    ("sound", "finding", "told"),
    [
        (np.zeros(SAMPLES, np.int16), ("microphone", "fail"), "exact zeros"),
        (noise(-2), ("level", "warn"), "gain down"),
        (noise(-100), ("level", "warn"), "gain up"),
        (synthetic_clip(SAMPLES), ("speech_gate", "warn"), "was taken for speech"),
        (np.ones(10, np.int16), ("microphone", "fail"), "s of sound came"),
    ],
    ids=["zeros", "clipping", "faint", "speech", "too short"],
)
def test_a_fault_of_the_sound_is_reported(
    sound: Samples, finding: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digital silence, clipping, a faint and a broken microphone are told apart."""
    soundfile.write(tmp_path / "room.wav", sound, 16_000)
    check, result = finding

    found = examine(capsys)

    assert found.results[check] == result, found.told
    assert told in found.told[check]


@pytest.mark.slow
def test_a_device_without_a_voice_detector_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where pymicro-vad is missing the doctor warns of music."""
    soundfile.write(tmp_path / "room.wav", noise(-60), 16_000)
    assert examine(capsys).results["speech_gate"] == "ok"

    monkeypatch.setattr(voice_detector, "_network", lambda: None)
    found = examine(capsys)

    assert found.results["speech_gate"] == "warn"
    assert "music may be taken for speech" in found.told["speech_gate"]


@pytest.mark.slow
def test_a_loud_background_is_a_fault_of_a_fixed_gate_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that follows it stays closed; a fixed one below it is told to be calibrated."""
    soundfile.write(tmp_path / "room.wav", noise(-30), 16_000)

    following = examine(capsys)
    monkeypatch.setenv("MOODWIRE_GATE_DBFS", "-50")
    fixed = examine(capsys)

    assert following.results["speech_gate"] == "ok"
    assert "follows the background at -30" in following.told["speech_gate"]
    assert fixed.results["speech_gate"] == "warn"
    assert "moodwire device calibrate" in fixed.told["speech_gate"]


@pytest.mark.parametrize(
    ("channels", "channel", "results", "told"),
    [
        ((noise(-58), noise(-58) // 2), "mean", ("ok", "ok"), r"channels 1: -58\.\d, 2: -6\d\.\d dBFS"),
        ((noise(-40), -noise(-40)), "mean", ("fail", "skip"), "two channels out of phase.* -> set channel = 1$"),
        ((noise(-40), 20 - noise(-40)), "mean", ("ok", "warn"), "two channels out of phase.* -> set channel = [12]$"),
        ((noise(-58), -noise(-58)), "2", ("ok", "ok"), r"channels 1: -58\.\d, 2: -58\.\d dBFS"),
        ((noise(-58), noise(-58)), "3", ("fail", "skip"), "no channel 3; set channel to 1 to 2"),
    ],
    ids=["stereo", "cancelled", "nearly cancelled", "one chosen", "no such channel"],
)
def test_each_channel_is_measured(  # noqa: PLR0917 - pytest gives them by name
    channels: tuple[Samples, ...],
    channel: str,
    results: tuple[str, str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The level of each channel is told, and a mean that loses them with the channel to set."""
    soundfile.write(tmp_path / "room.wav", np.stack(channels, axis=1), 16_000)

    found = examine(capsys, "--channel", channel)

    assert (found.results["microphone"], found.results["level"]) == results, found.told
    assert re.search(told, found.told["microphone"]) or re.search(told, found.told["level"]), found.told


def test_the_process_that_holds_a_microphone_is_named(tmp_path: Path) -> None:
    """A capture device that another process has open is found, with its process and command."""
    device = tmp_path / "pcmC1D0c"
    device.touch()
    with device.open() as opened, subprocess.Popen(["sleep", "60"], stdin=opened) as holding:
        wait_until(lambda: b"sleep" in Path(f"/proc/{holding.pid}/cmdline").read_bytes(), "sleep runs")
        found = list(find_holders(tmp_path))
        holding.kill()

    assert found == [Holder(holding.pid, "sleep 60", str(device))]
