"""What the device takes for speech: voices, and neither music nor noise."""

import itertools
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

import models.bundle
from common.audio_files import AudioFile
from device.audio.source import Block
from device.inference import voice_detector
from device.inference.pipeline import Window, windows
from device.inference.voice_detector import STEP_SAMPLES, VoiceDetector
from models.frontend import Samples
from models.runtime import synthetic_clip
from training import backgrounds

MANIFEST = models.bundle.load(models.bundle.find(models.bundle.DEFAULT)).manifest
SAMPLES = sorted((Path(__file__).parents[3] / "samples").glob("*.flac"))
RECORDINGS = Path(__file__).parents[4] / "shared" / "data"
PUBLISHED = {"speech", "uncertain"}


def spoken(path: Path) -> Samples:
    """Return a clip."""
    with AudioFile(path) as file:
        return file.read(16_000)


def at(sound: np.ndarray, dbfs: float) -> Samples:
    """Return sound with this RMS level."""
    return np.rint(sound * (32_768 * 10 ** (dbfs / 20) / sound.std())).clip(-32_768, 32_767).astype(np.int16)


def hear(sound: Samples, gate_dbfs: float | None = None) -> list[Window]:
    """Return the windows of some sound, of which any speech is neutral."""
    blocks = (Block(sound[start : start + 16_000], start // 16) for start in range(0, len(sound), 16_000))
    return list(windows(blocks, MANIFEST, lambda _: np.array([0.1, 0.1, 0.8]), gate_dbfs))


def published(found: list[Window]) -> float:
    """Return the share of windows that are given an emotion."""
    return float(np.mean([window.state in PUBLISHED for window in found]))


@pytest.mark.slow
def test_music_is_given_no_emotion() -> None:
    """Of two minutes of music next to nothing is taken for speech, and its windows say so."""
    music = at(backgrounds.music(synthetic_clip(48_000), 120 * 16_000, np.random.default_rng(3)), -30)

    found = hear(music)

    assert published(found) < 0.06
    assert np.mean([window.state == "noise" for window in found]) > 0.8
    assert {window.top for window in found if window.state == "noise"} == {None}


@pytest.mark.slow
def test_faint_music_is_given_no_emotion_either() -> None:
    """Music that rises above the noise only now and then is known for what it is by what is refused of it."""
    music = at(backgrounds.music(synthetic_clip(48_000), 120 * 16_000, np.random.default_rng(21)), -50)
    hiss = at(np.random.default_rng(22).normal(size=len(music)), -66)

    assert published(hear(music + hiss)) < 0.12


@pytest.mark.parametrize("dbfs", [-15, -30, -45])
def test_steady_noise_is_given_no_emotion_at_a_fixed_gate(dbfs: float) -> None:
    """Pink noise above the gate, of which WebRTC's detector says what it likes, is never speech."""
    noise = at(backgrounds.pink(synthetic_clip(48_000), 60 * 16_000, np.random.default_rng(2)), dbfs)

    assert published(hear(noise, gate_dbfs=-70)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("quieter_db", [0, 30])
def test_voices_are_heard_in_music_and_without(quieter_db: int) -> None:
    """Spoken clips pass at any level, and after minutes of music as before."""
    clips = np.concatenate([spoken(path) for path in SAMPLES])
    music = at(backgrounds.music(clips, 60 * 16_000, np.random.default_rng(4)), -40)
    softer = 10 ** (-quieter_db / 20)

    found = hear(np.rint(np.concatenate((clips, music, clips)) * softer).astype(np.int16))

    before, after = found[: len(clips) // 16_000], found[-(len(clips) // 16_000) :]
    assert published(before) > 0.95
    assert published(after) > 0.9


@pytest.mark.skipif(not (RECORDINGS / "crema-d").is_dir(), reason="no recordings in ../shared/data")
@pytest.mark.parametrize("noise_dbfs", [-65, -50])
def test_actors_are_heard(noise_dbfs: float) -> None:
    """Soft and loud clips of many actors pass, with pauses between, in a quiet room and in noise."""
    paths = [
        RECORDINGS / "crema-d" / "audio" / f"{actor}_{sentence}_{label}_XX.flac"
        for (actor, label), sentence in zip(
            itertools.product(range(1020, 1032, 2), ("ANG", "NEU")), itertools.cycle(("DFA", "TAI", "MTI"))
        )
    ]
    parts = [part for path in paths if path.exists() for part in (spoken(path), np.zeros(32_000, np.int16))]
    clean = np.concatenate((np.zeros(80_000, np.int16), *parts))
    noise = at(np.random.default_rng(1).normal(size=len(clean)), noise_dbfs)
    has_voice = np.concatenate((np.zeros(80_000, bool), *(np.full(len(part), bool(part.any())) for part in parts)))

    found = hear(np.clip(clean.astype(int) + noise, -32_768, 32_767).astype(np.int16))

    spoken_in = [has_voice[number * 16_000 : number * 16_000 + 48_000].sum() > 16_000 for number in range(len(found))]
    heard = [window for window, is_spoken in zip(found, spoken_in, strict=True) if is_spoken]
    assert len(heard) > 40
    assert published(heard) > 0.95


class Counting:
    """A network that counts what it hears and takes all of it for a voice."""

    steps = 0

    def process_10ms(self, step: bytes) -> float:
        """Count one step."""
        assert len(step) == 2 * STEP_SAMPLES
        Counting.steps += 1
        return 1.0

    def reset(self) -> None:
        """Begin anew."""


def test_a_quiet_room_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network hears nothing while the level gate is closed, however long, and then only the last seconds."""
    monkeypatch.setattr(voice_detector, "_network", lambda: Counting)
    monkeypatch.setattr(Counting, "steps", 0)
    hiss = at(np.random.default_rng(5).normal(size=60 * 16_000), -65)

    hear(hiss)
    assert Counting.steps == 0

    hear(np.concatenate((hiss, spoken(SAMPLES[0])[:32_000])))
    assert 0 < Counting.steps <= 100 * (3 + voice_detector.LEAD_MS / 1000 + 2)


def test_a_detector_begins_anew_after_what_it_has_missed() -> None:
    """After a minute that nobody asked for, it says of a voice and of a hiss what it says without that minute."""
    voice, hiss = spoken(SAMPLES[1])[:48_000], at(np.random.default_rng(6).normal(size=48_000), -50)
    open_gate = np.ones(100, bool)
    detector = VoiceDetector(voice_detector._network(), 48_000)

    answers = []
    for sound in (hiss, voice, hiss):
        for _ in range(20):
            detector.push(hiss)
        detector.push(sound)
        answers.append(detector.hears_voice(open_gate))

    assert answers == [False, True, False]


def test_without_the_package_a_device_says_so_and_works_as_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where pymicro-vad has no wheel, WebRTC's detector alone hears voices, and the log says once what is lost."""
    monkeypatch.setitem(sys.modules, "pymicro_vad", None)
    voice_detector._network.cache_clear()
    caplog.set_level(logging.WARNING)
    try:
        found = hear(spoken(SAMPLES[0])) + hear(spoken(SAMPLES[1]))
    finally:
        voice_detector._network.cache_clear()

    assert published(found) == 1
    assert len(caplog.records) == 1
    assert "music may be taken for speech" in caplog.text
