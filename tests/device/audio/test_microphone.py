"""Capture through the real PortAudio, from ALSA's file plugin instead of a card."""

import ctypes.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
from patience import CHILD_S

from models.frontend import Samples
from models.runtime import synthetic_clip

pytestmark = pytest.mark.audio
needs_portaudio = pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None,
    reason="PortAudio is not installed (Debian: apt install libportaudio2)",
)

# PortAudio finds ALSA's configuration by the environment of its process, so each test listens in one of its own.
LISTEN = """
import json, logging, sys, time
import numpy, sounddevice
from device.audio import capture, microphone, portaudio
from device.audio.source import SourceError

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
wanted, rate_hz, channels, heard = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
channel = int(sys.argv[5]) or None
# The file plugin takes everything, unlike most cards: let this one take only its own rate and channels.
class Card:
    def __getattr__(self, name): return getattr(sounddevice, name)
    def check_input_settings(self, **asked):
        if (asked["samplerate"], asked["channels"]) != (rate_hz, channels):
            raise sounddevice.PortAudioError("not taken")
portaudio.load = Card
# Neither is it paced, unlike all cards: let it wait while enough is queued.
ended, put = False, capture.CaptureQueue.put
def paced(self, piece):
    while self._blocks.qsize() > 50 and not ended:
        time.sleep(0.001)
    put(self, piece)
capture.CaptureQueue.put = paced
try:
    source = microphone.Microphone(wanted, channel)
except SourceError as error:
    print(json.dumps({"error": str(error)})); raise SystemExit
blocks = [source.read() for _ in range(30)]
ended = True
source.close()
numpy.save(heard, numpy.concatenate([block.samples for block in blocks]))
print(json.dumps({"name": source.name, "id": source.id, "listing": portaudio.listing(),
                  "gaps": [block.after_gap for block in blocks], "after": source.read() is None}))
"""


def listen(
    folder: Path,
    sound: Samples,
    wanted: str = "wavmic",
    *,
    rate_hz: int = 16_000,
    channels: int = 1,
    channel: int | None = None,
) -> dict[str, object]:
    """Return what a process heard that listened to a microphone which delivers this sound."""
    (folder / "sound.raw").write_bytes(np.concatenate((sound.ravel(), np.zeros(1_600_000, np.int16))).tobytes())
    (folder / ".asoundrc").write_text(
        f'pcm.wavmic {{ type file slave.pcm "null" file "/dev/null" infile "{folder / "sound.raw"}" format "raw"\n'
        '  hint { show on description "wavmic" } }\n'
    )
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            LISTEN,
            wanted,
            str(rate_hz),
            str(channels),
            str(folder / "heard.npy"),
            str(channel or 0),
        ],
        env=os.environ | {"HOME": str(folder)},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return told | {"log": ended.stderr}


@needs_portaudio
def test_a_microphone_is_heard_sample_by_sample(tmp_path: Path) -> None:
    """Three seconds at 16 kHz arrive as they are, named and in order, and closing ends them."""
    sound = synthetic_clip(48_000)

    told = listen(tmp_path, sound)

    np.testing.assert_array_equal(np.load(tmp_path / "heard.npy"), sound)
    assert told["name"] == told["id"] == "wavmic"
    assert "wavmic" in str(told["listing"])
    assert told["gaps"] == [True] + 29 * [False], "only the first follows on nothing"
    assert told["after"] is True
    assert "listening to 'wavmic', known by its name only" in str(told["log"])
    assert "16000 Hz, 1 channel, int16\n" in str(told["log"])


@needs_portaudio
def test_a_stereo_card_is_mixed(tmp_path: Path) -> None:
    """A card that only knows two channels is heard as their mean, sample by sample, and the log says so."""
    left, right = synthetic_clip(48_000), synthetic_clip(50_000)[2_000:]

    told = listen(tmp_path, np.stack((left, right), axis=1), channels=2)

    mean = np.rint((left.astype(np.float64) + right) / 2)
    np.testing.assert_array_equal(np.load(tmp_path / "heard.npy"), mean)
    assert "16000 Hz, 2 channels, int16, mixed to mono by their mean\n" in str(told["log"])


@needs_portaudio
def test_one_channel_of_an_array_is_heard_if_the_setting_names_it(tmp_path: Path) -> None:
    """Five channels arrive, one is heard sample by sample, and the log says so."""
    sound = np.stack([np.roll(synthetic_clip(48_000), 100 * number) for number in range(5)], axis=1)

    told = listen(tmp_path, sound, channels=5, channel=5)

    np.testing.assert_array_equal(np.load(tmp_path / "heard.npy"), sound[:, 4])
    assert "16000 Hz, 5 channels, int16, channel 5 heard\n" in str(told["log"])


@needs_portaudio
def test_a_mean_that_is_silence_is_said_once_with_what_to_do(tmp_path: Path) -> None:
    """Two channels out of phase cancel each other out, which is not the same as a muted microphone."""
    sound = synthetic_clip(48_000)

    told = listen(tmp_path, np.stack((sound, -sound), axis=1), channels=2)

    assert str(told["log"]).count("has two channels out of phase") == 1
    assert "delivers exact zeros as the mean of its channels; set channel = 1\n" in str(told["log"])
    assert "unmute" not in str(told["log"])


@needs_portaudio
def test_a_channel_that_a_microphone_does_not_have_is_refused(tmp_path: Path) -> None:
    """The sentence names the microphone and what to set; nothing else is heard instead."""
    told = listen(tmp_path, synthetic_clip(16_000), channel=1_000)

    assert "microphone 'wavmic' has" in str(told["error"])
    assert "channels and no channel 1000; set channel to 1 to" in str(told["error"])


@needs_portaudio
@pytest.mark.parametrize("channels", [1, 2])
def test_a_card_with_another_rate_is_resampled(tmp_path: Path, channels: int) -> None:
    """A card that only knows 48 kHz is heard at 16 kHz, with the sound unchanged, and the log says so."""
    sound = synthetic_clip(144_000)

    told = listen(tmp_path, np.repeat(sound, channels), rate_hz=48_000, channels=channels)

    heard = np.load(tmp_path / "heard.npy")
    expected = soxr.resample(sound, 48_000, 16_000)
    assert 46_000 < len(heard) <= 48_000, "the resampler holds back a few milliseconds"
    np.testing.assert_allclose(heard, expected[: len(heard)], atol=2)
    assert "resampled to 16000 Hz\n" in str(told["log"])


@needs_portaudio
def test_a_card_that_takes_no_common_format_is_named(tmp_path: Path) -> None:
    """The error names the microphone and quotes PortAudio."""
    told = listen(tmp_path, synthetic_clip(16_000), rate_hz=12_345)

    assert str(told["error"]).startswith("microphone 'wavmic' cannot be opened: not taken")


@needs_portaudio
def test_a_missing_microphone_is_named(tmp_path: Path) -> None:
    """The error names the wanted microphone and lists those present; no other is taken instead."""
    told = listen(tmp_path, synthetic_clip(16_000), wanted="bluetooth")

    assert "'bluetooth' matches none of" in str(told["error"])
    assert "wavmic" in str(told["error"])
