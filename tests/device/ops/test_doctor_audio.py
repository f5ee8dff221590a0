"""The doctor's checks of the sound, with each fault provoked."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from diagnoses import SAMPLES, examine, noise
from services import wait_until

from device.ops.doctor_audio import Holder, find_holders
from models.frontend import Samples
from models.runtime import synthetic_clip

pytestmark = pytest.mark.usefixtures("a_device")


@pytest.mark.parametrize(
    ("sound", "finding", "told"),
    [
        (np.zeros(SAMPLES, np.int16), ("microphone", "fail"), "exact zeros"),
        (noise(-30), ("speech_gate", "warn"), "moodwire device calibrate"),
        (noise(-2), ("level", "warn"), "gain down"),
        (noise(-100), ("level", "warn"), "gain up"),
        (synthetic_clip(SAMPLES), ("speech_gate", "warn"), "was taken for speech"),
        (np.ones(10, np.int16), ("microphone", "fail"), "s of sound came"),
    ],
    ids=["zeros", "loud background", "clipping", "faint", "speech", "too short"],
)
def test_a_fault_of_the_sound_is_reported(
    sound: Samples, finding: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digital silence, a gate below the background, clipping, a faint and a broken microphone are told apart."""
    soundfile.write(tmp_path / "room.wav", sound, 16_000)
    check, result = finding

    found = examine(capsys)

    assert found.results[check] == result, found.told
    assert told in found.told[check]


def test_the_process_that_holds_a_microphone_is_named(tmp_path: Path) -> None:
    """A capture device that another process has open is found, with its process and command."""
    device = tmp_path / "pcmC1D0c"
    device.touch()
    with device.open() as opened, subprocess.Popen(["sleep", "60"], stdin=opened) as holding:
        wait_until(lambda: b"sleep" in Path(f"/proc/{holding.pid}/cmdline").read_bytes(), "sleep runs")
        found = list(find_holders(tmp_path))
        holding.kill()

    assert found == [Holder(holding.pid, "sleep 60", str(device))]
