"""From blocks of sound to windows: gate, states, smoothing, and independence of the block size."""

from collections.abc import Iterable, Iterator
from itertools import cycle, pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models.bundle
from device.audio.level import level_dbfs
from device.audio.source import Block
from device.inference.pipeline import Smoother, Window, windows
from models.bundle import Manifest
from models.frontend import Frames, FrontEnd, Samples
from models.runtime import Scores, load_verified, synthetic_clip

BUNDLE, CLASSIFIER = load_verified(models.bundle.find(models.bundle.DEFAULT))
MANIFEST = BUNDLE.manifest
VOICE = synthetic_clip(8 * 16_000)
GATE_DBFS = -50.0


def hiss(deviation: float, seconds: float) -> Samples:
    """Return white noise."""
    noise = np.random.default_rng(1).normal(0, deviation, round(seconds * 16_000))
    return np.rint(noise).astype(np.int16)


MIXED = np.clip(np.concatenate((4 * VOICE[:64_000].astype(int), hiss(8, 4), VOICE[:64_000])), -32_768, 32_767).astype(
    np.int16
)
"""Speech that clips until it is hardly a voice, then silence, then speech."""
_LOUD = [frame for frame in synthetic_clip(24 * 16_000).reshape(-1, 480) if level_dbfs(frame) > -25]
NEVER_SILENT = np.concatenate(_LOUD)
"""A voice without any pause."""


def in_blocks(sound: Samples, sizes: list[int], end_ms: int = 1_000_000) -> Iterator[Block]:
    """Yield sound cut into blocks whose sizes come round and round, dated so that the sound ends at `end_ms`."""
    start = 0
    for size in cycle(sizes):
        if start >= len(sound):
            return
        end = min(start + size, len(sound))
        yield Block(sound[start:end], end_ms - (len(sound) - end) // 16)
        start = end


def heard(blocks: Iterable[Block], manifest: Manifest = MANIFEST) -> tuple[list[Window], list[Frames]]:
    """Return the windows, and the log-mel frames that the classifier was given."""
    seen: list[Frames] = []

    def classify(frames: Frames) -> Scores:
        seen.append(frames)
        return CLASSIFIER.scores(frames)

    return list(windows(blocks, manifest, classify, GATE_DBFS)), seen


def facts(found: list[Window], without: str) -> list[dict[str, object]]:
    """Return all fields of windows but one, to be compared exactly."""
    return [
        {name: np.asarray(value).tolist() for name, value in window._asdict().items() if name != without}
        for window in found
    ]


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=5))
def test_the_answer_does_not_depend_on_the_block_size(sizes: list[int]) -> None:
    """However the sound is cut, states, scores, levels, SNR, clipping, times and log-mel frames are the same."""
    sure = [window.smoothed.max() for window in heard([Block(MIXED, 0)])[0] if window.smoothed is not None]
    manifest = msgspec.structs.replace(MANIFEST, uncertain_below=float(np.median(sure)))
    whole, whole_frames = heard([Block(MIXED, 1_000_000)], manifest)
    assert {window.state for window in whole} == {"silent", "noise", "speech", "uncertain"}
    assert max(window.clipping for window in whole) > 0

    cut, cut_frames = heard(in_blocks(MIXED, sizes), manifest)

    assert facts(cut, "end_ms") == facts(whole, "end_ms")
    for one, other in zip(cut, whole, strict=True):
        assert abs(one.end_ms - other.end_ms) <= 1, "a block of odd size rounds to the millisecond"
    np.testing.assert_array_equal(cut_frames, whole_frames)


def test_overlapping_windows_share_their_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """No frame of the sound is computed twice, though each is in three windows."""
    computed = []
    log_mel = FrontEnd.log_mel

    def counted(front_end: FrontEnd, samples: Samples) -> Frames:
        frames = log_mel(front_end, samples)
        computed.append(len(frames))
        return frames

    monkeypatch.setattr(FrontEnd, "log_mel", counted)
    found, _ = heard(in_blocks(VOICE, [1_600]))

    assert len(found) == 6
    assert sum(computed) == MANIFEST.front_end.frames_in(len(VOICE))


@pytest.mark.parametrize("first_s", [2, 5])
def test_no_window_reaches_across_a_gap(first_s: int) -> None:
    """What follows a gap is judged as if nothing had been heard before, only the noise floor is still known."""
    first = Block(VOICE[: first_s * 16_000], 100_000)
    second = Block(VOICE[2 * 16_000 + 5 :], 200_000, after_gap=True)

    after, after_frames = heard([second])
    both, both_frames = heard([first, second])

    before = max(0, first_s - 2)
    assert facts(both[before:], "snr_db") == facts(after, "snr_db")
    np.testing.assert_array_equal(both_frames[-len(after_frames) :], after_frames)
    assert all(window.end_ms <= 100_000 for window in both[:before])


def test_the_noise_floor_outlasts_a_gap() -> None:
    """A hum that was heard before a gap is still known after it, when someone speaks at once and without a pause."""
    speech = windows(in_blocks(NEVER_SILENT, [1_600]), MANIFEST, CLASSIFIER.scores, GATE_DBFS)
    assert max(window.snr_db or 0 for window in speech) < 12, "nothing but the voice itself to compare"

    blocks = [Block(hiss(100, 10), 0), *in_blocks(NEVER_SILENT, [1_600])]
    blocks[1] = blocks[1]._replace(after_gap=True)
    found = list(windows(blocks, MANIFEST, CLASSIFIER.scores, GATE_DBFS))

    assert found[-1].snr_db is not None
    assert found[-1].snr_db > 20


@pytest.mark.parametrize(("deviation", "gate_dbfs"), [(8, -50), (30, -50), (100, -50), (300, -35), (1_000, -28)])
def test_snr_is_how_far_speech_stands_above_the_noise_floor(deviation: float, gate_dbfs: float) -> None:
    """Within 2 dB of the truth, whatever the background's level."""
    voice = np.concatenate((np.zeros(32_000, np.int16), synthetic_clip(48_000), np.zeros(32_000, np.int16)))
    noise = hiss(deviation, len(voice) / 16_000)
    noisy = np.clip(voice.astype(int) + noise, -32_768, 32_767).astype(np.int16)
    loud = np.concatenate([frame for frame in synthetic_clip(48_000).reshape(-1, 480) if level_dbfs(frame) > gate_dbfs])

    found = [
        window.snr_db
        for window in windows([Block(noisy, 0)], MANIFEST, CLASSIFIER.scores, gate_dbfs)
        if window.snr_db is not None
    ]

    assert found
    assert found[-1] == pytest.approx(level_dbfs(loud) - level_dbfs(noise), abs=2)


def test_a_window_has_the_scores_of_its_own_samples() -> None:
    """Log-mel frames shared between windows do not change them."""
    found = list(windows([Block(VOICE, 0)], MANIFEST, CLASSIFIER.scores, GATE_DBFS))

    for number, window in enumerate(found):
        start = number * MANIFEST.hop_samples
        frames = MANIFEST.front_end.log_mel(VOICE[start : start + MANIFEST.window_samples])
        assert window.scores is not None
        np.testing.assert_allclose(window.scores, CLASSIFIER.scores(frames), atol=1e-9)


def test_windows_come_each_hop_once_a_whole_one_is_heard() -> None:
    """Eight seconds hold six windows of three seconds, one second apart, the last ending with the sound."""
    found = list(windows([Block(VOICE, 90_000)], MANIFEST, CLASSIFIER.scores, GATE_DBFS))

    assert [window.end_ms for window in found] == [85_000, 86_000, 87_000, 88_000, 89_000, 90_000]
    assert {round(window.level_dbfs) for window in found} <= set(range(-30, -10))


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(80_000, np.int16),
        np.rint(np.random.default_rng(1).normal(0, 8, 80_000)).astype(np.int16),
        (synthetic_clip(80_000) // 256).astype(np.int16),
    ],
    ids=["digital silence", "faint noise", "a voice far below the gate"],
)
def test_silence_is_not_classified(sound: Samples) -> None:
    """The classifier is not called."""

    def never(_frames: Frames) -> Scores:
        raise AssertionError("silence was classified")

    found = list(windows([Block(sound, 0)], MANIFEST, never, GATE_DBFS))

    assert len(found) == 3
    assert {window.state for window in found} == {"silent"}
    assert {window.scores for window in found} == {None}


def test_loud_noise_without_a_voice_is_not_speech() -> None:
    """The voice activity detector keeps a steady hiss out that is loud enough for the level gate."""
    hiss = np.rint(np.random.default_rng(1).normal(0, 1_000, 160_000)).astype(np.int16)

    found = list(windows([Block(hiss, 0)], MANIFEST, CLASSIFIER.scores, GATE_DBFS))

    assert {window.state for window in found[2:]} == {"silent"}


def test_a_low_top_probability_is_uncertain() -> None:
    """Below the manifest's threshold a window is `uncertain`, at or above it `speech`."""
    manifest = msgspec.structs.replace(MANIFEST, uncertain_below=0.5)

    def state(top: float) -> set[str]:
        scores = np.array([top, (1 - top) / 2, (1 - top) / 2])
        return {window.state for window in windows([Block(VOICE, 0)], manifest, lambda _: scores, GATE_DBFS)}

    assert state(0.49) == {"uncertain"}
    assert state(0.5) == {"speech"}


def test_smoothing_is_an_exponential_mean_that_silence_ends() -> None:
    """Each window weighs half of what follows it, until silence restarts it."""
    smoother = Smoother()

    assert smoother.push(np.array([1.0, 0.0])).tolist() == [1.0, 0.0]
    assert smoother.push(np.array([0.0, 1.0])).tolist() == [0.5, 0.5]
    assert smoother.push(np.array([0.0, 1.0])).tolist() == [0.25, 0.75]
    smoother.reset()
    assert smoother.push(np.array([1.0, 0.0])).tolist() == [1.0, 0.0]


def test_hop_ends_follow_each_other() -> None:
    """Windows of a real-time source are a hop apart whatever the blocks."""
    found = list(windows(in_blocks(VOICE, [1_600]), MANIFEST, CLASSIFIER.scores, GATE_DBFS))

    assert {later.end_ms - earlier.end_ms for earlier, later in pairwise(found)} == {1_000}
