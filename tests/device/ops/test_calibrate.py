"""Calibration, from files and through the real PortAudio."""

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from diagnoses import noise
from patience import CHILD_S

import moodwire
from device.control.overrides import Overrides
from device.delivery import outbox_file
from models.frontend import Samples
from models.runtime import synthetic_clip

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def settings_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let each test have a state folder of its own, and no file of the person who runs the tests interfere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MOODWIRE_STATE_DIR", str(tmp_path / "state"))


def calibrate(folder: Path, sound: Samples, *flags: str) -> int:
    """Calibrate a gate at a fixed level with a room that sounds like this."""
    return check(folder, sound, "--gate-dbfs=-50", *flags)


def check(folder: Path, sound: Samples, *flags: str) -> int:
    """Listen to a room that sounds like this."""
    soundfile.write(folder / "room.wav", sound, 16_000)
    return moodwire.main(["device", "calibrate", "--clips", str(folder / "room.wav"), "--listen-s", "1", *flags])


@pytest.mark.slow
@pytest.mark.parametrize("dbfs", [-75, -35])
def test_a_gate_that_follows_the_noise_floor_is_only_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dbfs: float
) -> None:
    """Whether the room is quiet or loud, and also with a constant offset of 1 %; nothing is saved."""
    for sound in (noise(dbfs), noise(dbfs) + np.int16(328)):
        assert check(tmp_path, sound) == 0

        printed = capsys.readouterr().out
        assert "gate before  follows the noise floor; 0% of the sound was taken for speech" in printed
        assert f"noise floor  {dbfs}." in printed or f"noise floor  {dbfs + 1}." in printed
        assert "Nothing needs to be set" in printed
    assert not (tmp_path / "state" / "kept.json").exists()


def test_the_gate_is_set_above_the_noise_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Noise at -60 dBFS gives a gate at -48: 6 dB for the hysteresis, 6 in reserve; other overrides stay."""
    Overrides(name="Kitchen").save(tmp_path / "state")

    code = calibrate(tmp_path, noise(-60.2))

    printed = capsys.readouterr().out
    assert code == 0
    assert Overrides.load(tmp_path / "state") == Overrides(name="Kitchen", gate_dbfs=-48.0)
    assert "gate before  -50 dBFS" in printed
    assert "gate after   -48 dBFS" in printed


def test_a_mean_that_loses_the_sound_is_not_calibrated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two channels out of phase are no quiet room and no muted microphone: the sentence names the channel to set."""
    assert calibrate(tmp_path, np.stack((noise(-40), -noise(-40)), axis=1)) == 1

    assert "room.wav has two channels out of phase" in (error := capsys.readouterr().err)
    assert error.endswith("set channel = 1.\n")
    assert Overrides.load(tmp_path / "state") == Overrides()


def test_calibrate_refuses_while_the_device_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A running device would write the gate that it has in memory over the new one."""
    (tmp_path / "state").mkdir()
    running = outbox_file.lock(tmp_path / "state")
    try:
        assert calibrate(tmp_path, noise(-60.2)) == 2
    finally:
        os.close(running)

    assert "is in use: another moodwire device runs" in capsys.readouterr().err
    assert Overrides.load(tmp_path / "state") == Overrides()


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The proposal is printed, and the state folder is not even made."""
    code = calibrate(tmp_path, noise(-70.2), "--dry-run")

    assert code == 0
    assert "gate_dbfs would be -58" in capsys.readouterr().out
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        (synthetic_clip(32_000), "not quiet"),
        (np.zeros(32_000, np.int16), "exact zeros"),
        ((synthetic_clip(32_000).astype(np.int32) * 100).clip(-32_768, 32_767).astype(np.int16), "full scale"),
        (noise(-30), "so loud that"),
    ],
    ids=["speech", "zeros", "clipping", "loud"],
)
def test_an_unfit_room_changes_nothing(
    sound: Samples, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Speech, a muted or overdriven microphone and a loud room are reported, and the gate stays as it was."""
    code = calibrate(tmp_path, sound)

    assert code == 1
    assert why in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder is named before anything is listened to."""
    (tmp_path / "file").touch()

    code = calibrate(tmp_path, noise(-60.2), "--state-dir", str(tmp_path / "file" / "state"))

    assert code == 2
    assert "file/state" in capsys.readouterr().err


@pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None,
    reason="PortAudio is not installed (Debian: apt install libportaudio2)",
)
def test_a_microphone_is_calibrated(tmp_path: Path) -> None:
    """Sound from PortAudio is measured like sound from files."""
    (tmp_path / "sound.raw").write_bytes(np.tile(noise(-55.2), 40).tobytes())
    (tmp_path / ".asoundrc").write_text(
        f'pcm.wavmic {{ type file slave.pcm "null" file "/dev/null" infile "{tmp_path / "sound.raw"}" format "raw"\n'
        '  hint { show on description "wavmic" } }\n'
    )
    ended = subprocess.run(
        [sys.executable, "-m", "moodwire", "device", "calibrate", "--mic", "wavmic", "--gate-dbfs=-50"],
        env=os.environ | {"HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert Overrides.load(tmp_path / "state").gate_dbfs == -43.0
