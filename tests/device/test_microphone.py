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

from device.microphone import resolve
from device.sound import SourceError
from models.frontend import Samples
from models.runtime import synthetic_clip

needs_portaudio = pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None,
    reason="PortAudio is not installed (Debian: apt install libportaudio2)",
)

# PortAudio reads the ALSA configuration once, when it is loaded: each test listens in a process of its own.
LISTEN = """
import sys, json, numpy
from device.microphone import Microphone, listing
from device.sound import SourceError
import device.microphone as microphone
try:
    if sys.argv[2] != "any rate":
        # The file plugin takes every rate, unlike most cards: let this one take only its own.
        class OneRate:
            def __getattr__(self, name): return getattr(sounddevice, name)
            def check_input_settings(self, **_): raise sounddevice.PortAudioError("only 48000 Hz")
        import sounddevice
        microphone._portaudio = OneRate
        query = sounddevice.query_devices
        OneRate.query_devices = lambda _self, *a: query(*a) | {"default_samplerate": 48000.0} if a else query()
    source = Microphone(sys.argv[1])
except SourceError as error:
    print(json.dumps({"error": str(error)})); raise SystemExit
blocks = [source.read() for _ in range(30)]
source.close()
numpy.save(sys.argv[3], numpy.concatenate([block.samples for block in blocks]))
print(json.dumps({"name": source.name, "listing": listing(), "ends": [block.end_ms for block in blocks],
                  "after": source.read() is None}))
"""


def listen(folder: Path, sound: Samples, wanted: str = "wavmic", rate: str = "any rate") -> dict[str, object]:
    """Return what a process heard that listened to a microphone which delivers this sound."""
    (folder / "sound.raw").write_bytes(np.concatenate((sound, np.zeros(1_600_000, np.int16))).tobytes())
    (folder / ".asoundrc").write_text(
        f'pcm.wavmic {{ type file slave.pcm "null" file "/dev/null" infile "{folder / "sound.raw"}" format "raw"\n'
        '  hint { show on description "wavmic" } }\n'
    )
    ended = subprocess.run(
        [sys.executable, "-c", LISTEN, wanted, rate, str(folder / "heard.npy")],
        env=os.environ | {"HOME": str(folder)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, object] = json.loads(ended.stdout.splitlines()[-1])
    return told


@needs_portaudio
def test_a_microphone_is_heard_sample_by_sample(tmp_path: Path) -> None:
    """Three seconds at 16 kHz arrive as they are, named and in order, and closing ends them."""
    sound = synthetic_clip(48_000)

    told = listen(tmp_path, sound)

    np.testing.assert_array_equal(np.load(tmp_path / "heard.npy"), sound)
    assert told["name"] == "wavmic"
    assert "wavmic" in str(told["listing"])
    assert told["after"] is True


@needs_portaudio
def test_a_card_with_another_rate_is_resampled(tmp_path: Path) -> None:
    """A card that only knows 48 kHz is heard at 16 kHz, with the sound unchanged."""
    sound = synthetic_clip(144_000)

    listen(tmp_path, sound, rate="48000 Hz")

    heard = np.load(tmp_path / "heard.npy")
    expected = soxr.resample(sound, 48_000, 16_000)
    assert 46_000 < len(heard) <= 48_000, "the resampler holds back a few milliseconds"
    np.testing.assert_allclose(heard, expected[: len(heard)], atol=2)


@needs_portaudio
def test_a_microphone_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The sentence names what was asked for and what there is; no other microphone is taken instead."""
    told = listen(tmp_path, synthetic_clip(16_000), wanted="bluetooth")

    assert "'bluetooth' matches none of" in str(told["error"])
    assert "wavmic" in str(told["error"])


class Cards:
    """A sound system with these inputs; the third is an output."""

    def __init__(self, *names: str) -> None:
        self._devices = [{"name": name, "max_input_channels": 1} for name in names]
        self._devices.insert(2, {"name": "Speaker", "max_input_channels": 0})

    def query_devices(self) -> list[dict[str, object]]:
        """Return all devices."""
        return self._devices  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("wanted", "index"), [("", None), ("1", 1), ("samson", 1), ("USB Audio: #1", 0), ("USB Audio: #11", 3)]
)
def test_a_microphone_is_found_by_index_or_name(wanted: str, index: int | None) -> None:
    """An index, a unique part of a name, or a whole name chooses; nothing means the default."""
    assert resolve(wanted, Cards("USB Audio: #1", "Samson Go", "USB Audio: #11")) == index


@pytest.mark.parametrize("wanted", ["USB", "speaker", "2", "9", "nothing"])
def test_an_ambiguous_or_unknown_microphone_is_never_guessed(wanted: str) -> None:
    """Several matches, an output, or no match are refused with the list of what there is."""
    with pytest.raises(SourceError, match="0: USB Audio: #1"):
        resolve(wanted, Cards("USB Audio: #1", "Samson Go", "USB Audio: #11"))


def test_without_any_microphone_the_sentence_says_what_to_do() -> None:
    """No input at all leads to the other way of trying it."""
    with pytest.raises(SourceError, match="--clips"):
        resolve("", Cards())
