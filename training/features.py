"""Log-mel frames of clips, through the front end of the device."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import soxr
from numpy.typing import NDArray
from tqdm import tqdm

from models.bundle import Manifest
from models.frontend import Frames, FrontEnd, Samples, normalise
from models.runtime import synthetic_clip
from training import backgrounds, corpora
from training.augment import FLOOR_QUANTILE, Hiss, Padding, Windows
from training.backgrounds import Background
from training.corpora import Clip
from training.recipe import Recipe

LEAST_SPEECH_S = 1.0
"""A training window holds at least this much of its clip: windows that slide over speech cut into words."""
HISS_S = 100
"""Length of the noise of which random parts are taken."""
FOLDER = "features"
"""In `runs_dir`: the frames of whole corpora, some dozens of megabytes for each speed. It may be deleted."""

WindowSpec = Recipe | Manifest
"""Both define a window: its length and its front end."""


class Bank(msgspec.Struct, frozen=True):
    """The log-mel frames of many clips at one speed."""

    frames: NDArray[np.float16]
    """One clip after another, then a frame of digital silence, shape (frames + 1, n_mels), dB."""
    begins: NDArray[np.intp]
    """First frame of each clip, and the end of the last one, shape (clips + 1,)."""
    edge: int
    """Number of frames at either end of a clip that lie partly outside it."""

    def lengths(self, clips: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the number of frames of each of these clips, shape (clips,)."""
        return self.begins[clips + 1] - self.begins[clips]

    def windows(self, clips: NDArray[np.intp], starts: NDArray[np.intp], length: int) -> tuple[Windows, Padding]:
        """Return a window of each of these clips, padded with digital silence, and which of its frames are padding.

        Args:
            clips: indices of the clips, shape (n,).
            starts: frame of the clip with which its window begins; negative: before the clip.
            length: frames in a window.
        """
        places = starts[:, None] + np.arange(length)
        lengths = self.lengths(clips)[:, None]
        outside = (places < 0) | (places >= lengths)
        chosen = np.where(outside, len(self.frames) - 1, self.begins[clips][:, None] + places)
        padding = (places < self.edge) | (places >= lengths - self.edge)
        return self.frames[chosen].astype(np.float32), padding


def bank(clips: Sequence[Clip], front_end: FrontEnd, speed: float = 1.0) -> Bank:
    """Return the frames of each clip, played at a speed; those at either end lie partly in digital silence."""
    edge = (front_end.n_fft - 1) // front_end.hop_length
    silence = np.zeros(edge * front_end.hop_length, np.int16)
    audio = _audio(clips, front_end.sample_rate_hz, speed)
    title = f"features at speed {speed:g}"
    frames = [
        front_end.log_mel(np.concatenate((silence, samples, silence))).astype(np.float16)
        for samples in tqdm(audio, title, len(clips), leave=False, unit="clip", disable=None)
    ]
    begins = np.concatenate(([0], np.cumsum([len(clip) for clip in frames])))
    silent_frame = front_end.log_mel(np.zeros(front_end.n_fft, np.int16)).astype(np.float16)
    return Bank(np.concatenate([*frames, silent_frame]), begins, edge)


class FrameCache:
    """Frames of all clips at each speed, computed once for all folds, seeds and epochs, and kept on disk."""

    def __init__(self, clips: Sequence[Clip], front_end: FrontEnd, runs_dir: Path) -> None:
        """Compute nothing yet.

        Args:
            clips: all clips of the training.
            front_end: of the recipe.
            runs_dir: its folder `features` keeps the frames for other trainings.
        """
        self.clips = clips
        self._front_end = front_end
        self._folder = runs_dir / FOLDER
        self._banks: dict[float, Bank] = {}

    def bank(self, speed: float) -> Bank:
        """Return the frames of all clips at a speed: kept ones, else computed now."""
        if speed not in self._banks:
            file = self._folder / f"{self._key(speed)}.npz"
            self._banks[speed] = _load(file) if file.is_file() else bank(self.clips, self._front_end, speed)
            if not file.is_file():
                _save(file, self._banks[speed])
        return self._banks[speed]

    def _key(self, speed: float) -> str:
        """Return a hash of all that the frames depend on, the front end's output for some sound included."""
        settings = msgspec.json.encode((self._front_end, speed, [clip.path.name for clip in self.clips]))
        frames = self._front_end.log_mel(synthetic_clip(self._front_end.sample_rate_hz)).tobytes()
        return hashlib.sha256(corpora.digest(self.clips).encode() + settings + frames).hexdigest()[:16]

    def indices(self, clips: Sequence[Clip]) -> NDArray[np.intp]:
        """Return the indices of these clips, ascending."""
        wanted = {clip.path for clip in clips}
        return np.flatnonzero([clip.path in wanted for clip in self.clips])


def _save(file: Path, bank: Bank) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"partial-{os.getpid()}-{file.name}")  # two trainings may write it at once
    np.savez(partial, **msgspec.structs.asdict(bank))
    partial.replace(file)


def _load(file: Path) -> Bank:
    with np.load(file) as arrays:
        return Bank(arrays["frames"], arrays["begins"], int(arrays["edge"]))


def hiss(front_end: FrontEnd) -> Hiss:
    """Return `HISS_S` of white noise through the front end."""
    noise = np.random.default_rng(0).normal(0, 1_000, HISS_S * front_end.sample_rate_hz)
    power = 10 ** (front_end.log_mel(np.rint(noise).astype(np.int16)) / 10)
    relative = (power / power.mean(axis=0)).astype(np.float32)
    return Hiss(relative, np.quantile(relative, FLOOR_QUANTILE, axis=0))


def margin_frames(recipe: Recipe) -> int:
    """Return the largest number of frames before or after its clip that a training window may hold."""
    least = int(LEAST_SPEECH_S * recipe.front_end.sample_rate_hz)
    return max(0, recipe.window_samples - least) // recipe.front_end.hop_length


def centred_windows(clips: Sequence[Clip], spec: WindowSpec, background: Background) -> list[Frames]:
    """Return one window for each clip, the clip in its middle, with a background: shape (window_frames, n_mels), dB.

    The background of a clip is the same each time.
    """
    return [
        spec.front_end.log_mel(
            backgrounds.centred(samples, spec.window_samples, background, np.random.default_rng(number))
        )
        for number, samples in enumerate(_audio(clips, spec.front_end.sample_rate_hz))
    ]


def normalised(windows: Iterable[Frames]) -> NDArray[np.float32]:
    """Return windows as a network's input, shape (windows, frames, mels, 1)."""
    return np.stack([normalise(window) for window in windows])[..., None]


def targets(clips: Sequence[Clip], labels: tuple[str, ...]) -> NDArray[np.intp]:
    """Return each clip's class, shape (clips,)."""
    return np.array([labels.index(clip.label) for clip in clips])


def _audio(clips: Sequence[Clip], sample_rate_hz: int, speed: float = 1.0) -> Iterator[Samples]:
    for clip in clips:
        samples = corpora.read_audio(clip, sample_rate_hz)
        yield samples if speed == 1 else soxr.resample(samples, sample_rate_hz * speed, sample_rate_hz)
