"""`moodwire device run` with the model in another runtime."""

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, RunningBroker
from exports import export, needs_export
from rooms import ROOT, Room
from services import wait_until

import moodwire
from broker import topics
from broker.batches import split
from broker.messages import Reading, decode

pytestmark = [pytest.mark.slow, needs_export]

SECONDS = 6
"""Of a sample, which give four windows."""


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_device_reads_the_same_with_another_runtime(tmp_path: Path, broker: RunningBroker, runtime: str) -> None:
    """Two devices hear one file, one in LiteRT and one in another runtime: the same windows, scores within 0.1."""
    sound, rate = soundfile.read(ROOT / "samples" / "4-parcel.flac", dtype="int16")
    soundfile.write(tmp_path / "clip.wav", sound[: SECONDS * rate], rate)
    folder = export(tmp_path / "exported", runtime)
    heard: dict[str, list[Reading]] = {DEVICE: [], OTHER_DEVICE: []}

    def hear(topic: str, payload: bytes) -> None:
        for record in split(payload):
            heard[topic.split("/")[2]].append(decode(record, Reading))

    with broker.client("server", hear) as listener:
        for device in heard:
            listener.subscribe(f"{topics.ROOT}/{device}/reading", qos=1)
        rooms = [
            Room(
                _made(tmp_path / device),
                "device",
                "run",
                clips=tmp_path / "clip.wav",
                model=folder,
                runtime="litert" if device == DEVICE else runtime,
                identity=device,
                mqtt_url=broker.url,
                mqtt_password=ACCOUNTS[device],
                state_dir=tmp_path / device / "state",
                confirm="broker",
                baseline="false",
                clock_wait_s=0,
            )
            for device in heard
        ]
        assert [room.process.wait(120) for room in rooms] == [0, 0], [room.log for room in rooms]
        wait_until(lambda: len({len(readings) for readings in heard.values()}) == 1, "both were heard to the end")

    litert, other = heard[DEVICE], heard[OTHER_DEVICE]
    assert len(litert) >= 2
    for one, two in zip(litert, other, strict=True):
        assert two.scores == pytest.approx(one.scores, abs=0.1)
    assert [one.scores for one in litert] != [two.scores for two in other], "it was another runtime"


def test_a_device_without_the_exported_file_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A runtime that has nothing to run ends with one sentence and code 2."""
    flags = ["--runtime", "onnx", "--state-dir", str(tmp_path), "--clips", str(ROOT / "samples")]

    assert moodwire.main(["device", "run", *flags]) == 2
    assert "model.onnx is not there, and runtime onnx runs it; make it with moodwire bundle" in capsys.readouterr().err


def test_a_runtime_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence lists the runtimes."""
    assert moodwire.main(["device", "run", "--runtime", "tensorrt"]) == 2
    assert "runtime is 'tensorrt'; use litert, onnx or openvino" in capsys.readouterr().err


def test_the_default_loads_no_other_runtime() -> None:
    """A device as it comes needs neither package."""
    code = "import sys, device.cli; from models.runtime import load_verified; import models.bundle as bundles; "
    code += "load_verified(bundles.find(bundles.DEFAULT)); print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"onnxruntime", "openvino"} & set(done.stdout.split())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
