"""Clips to log-mel frames, through the one front end."""

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
from training.augment import Beside, Hiss, Windows
from training.backgrounds import Background
from training.corpora import Clip
from training.recipe import Recipe

LEAST_SPEECH_S = 1.0
"""A training window holds at least so much of its clip, as sliding windows cut into words."""

HISS_S = 100
"""Length of the noise of which random parts are taken."""

FOLDER = "features"
"""Among the run folders: the frames of whole corpora, some dozens of megabytes for each speed. It may be deleted."""

Hearing = Recipe | Manifest
"""Both say what a window is."""


class Bank(msgspec.Struct, frozen=True):
    """The log-mel frames of many clips, computed once for all folds, seeds and epochs."""

    frames: NDArray[np.float16]
    """One clip after another, and last a frame of digital silence, shape (frames + 1, n_mels), dB."""
    begins: NDArray[np.intp]
    """Where each clip begins, and where the last one ends, shape (clips + 1,)."""
    edge: int
    """How many frames at either end of a clip lie partly beside it."""

    def lengths(self, clips: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return how many frames these clips have, shape (clips,)."""
        return self.begins[clips + 1] - self.begins[clips]

    def windows(self, clips: NDArray[np.intp], starts: NDArray[np.intp], length: int) -> tuple[Windows, Beside]:
        """Return a window for each of these clips amid digital silence, and which of its frames lie beside the clip.

        Args:
            clips: numbers of the clips, shape (n,).
            starts: frame of the clip with which its window begins; less than 0 is before the clip.
            length: frames in a window.
        """
        places = starts[:, None] + np.arange(length)
        lengths = self.lengths(clips)[:, None]
        outside = (places < 0) | (places >= lengths)
        chosen = np.where(outside, len(self.frames) - 1, self.begins[clips][:, None] + places)
        beside = (places < self.edge) | (places >= lengths - self.edge)
        return self.frames[chosen].astype(np.float32), beside


def bank(clips: Sequence[Clip], front_end: FrontEnd, speed: float = 1.0) -> Bank:
    """Return the frames of each clip, those at either end lying partly in digital silence."""
    edge = (front_end.n_fft - 1) // front_end.hop_length
    silence = np.zeros(edge * front_end.hop_length, np.int16)
    frames = [
        front_end.log_mel(np.concatenate((silence, samples, silence))).astype(np.float16)
        for samples in tqdm(
            _heard(clips, front_end.sample_rate_hz, speed),
            f"features at speed {speed:g}",
            len(clips),
            leave=False,
            unit="clip",
            disable=None,
        )
    ]
    begins = np.concatenate(([0], np.cumsum([len(clip) for clip in frames])))
    nothing = front_end.log_mel(np.zeros(front_end.n_fft, np.int16)).astype(np.float16)
    return Bank(np.concatenate([*frames, nothing]), begins, edge)


class Material:
    """All that is heard in trainings, through one front end."""

    def __init__(self, clips: Sequence[Clip], front_end: FrontEnd, runs_dir: Path) -> None:
        """Nothing is heard yet.

        Args:
            clips: to hear.
            front_end: to hear them through.
            runs_dir: where their frames are kept for other trainings.
        """
        self.clips = clips
        self._front_end = front_end
        self._folder = runs_dir / FOLDER
        self._banks: dict[float, Bank] = {}

    def bank(self, speed: float) -> Bank:
        """Return the frames of all clips at a speed: read, or computed when they are asked for the first time."""
        if speed not in self._banks:
            file = self._folder / f"{self._identity(speed)}.npz"
            kept = file.is_file()
            self._banks[speed] = _kept(file) if kept else _keep(file, bank(self.clips, self._front_end, speed))
        return self._banks[speed]

    def _identity(self, speed: float) -> str:
        """Return a hash of all that the frames depend on, also of what the front end makes of some sound."""
        settings = msgspec.json.encode((self._front_end, speed, [clip.path.name for clip in self.clips]))
        heard = self._front_end.log_mel(synthetic_clip(self._front_end.sample_rate_hz)).tobytes()
        return hashlib.sha256(corpora.digest(self.clips).encode() + settings + heard).hexdigest()[:16]

    def numbers(self, clips: Sequence[Clip]) -> NDArray[np.intp]:
        """Return which of its clips these are, ascending."""
        wanted = {clip.path for clip in clips}
        return np.flatnonzero([clip.path in wanted for clip in self.clips])


def _keep(file: Path, made: Bank) -> Bank:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"partial-{os.getpid()}-{file.name}")  # two trainings may be at it at once
    np.savez(partial, **msgspec.structs.asdict(made))
    partial.replace(file)
    return made


def _kept(file: Path) -> Bank:
    with np.load(file) as kept:
        return Bank(kept["frames"], kept["begins"], int(kept["edge"]))


def hiss(front_end: FrontEnd) -> Hiss:
    """Return a minute and more of white noise as the front end hears it."""
    noise = np.random.default_rng(0).normal(0, 1_000, HISS_S * front_end.sample_rate_hz)
    power = 10 ** (front_end.log_mel(np.rint(noise).astype(np.int16)) / 10)
    relative: Hiss = power / power.mean(axis=0)
    return relative


def margin_frames(recipe: Recipe) -> int:
    """Return how many frames beside its clip a training window may at most hold at one end."""
    least = int(LEAST_SPEECH_S * recipe.front_end.sample_rate_hz)
    return max(0, recipe.window_samples - least) // recipe.front_end.hop_length


def centred_windows(clips: Sequence[Clip], hearing: Hearing, background: Background) -> list[Frames]:
    """Return one window for each clip, the clip in its middle amid a background, shape (window_frames, n_mels), dB.

    The backgrounds are the same each time.
    """
    return [
        hearing.front_end.log_mel(
            backgrounds.centred(samples, hearing.window_samples, background, np.random.default_rng(number))
        )
        for number, samples in enumerate(_heard(clips, hearing.front_end.sample_rate_hz))
    ]


def normalised(windows: Iterable[Frames]) -> NDArray[np.float32]:
    """Return windows of frames as a network takes them, shape (windows, frames, mels, 1)."""
    return np.stack([normalise(window) for window in windows])[..., None]


def targets(clips: Sequence[Clip], labels: tuple[str, ...]) -> NDArray[np.intp]:
    """Return each clip's class, shape (clips,)."""
    return np.array([labels.index(clip.label) for clip in clips])


def _heard(clips: Sequence[Clip], sample_rate_hz: int, speed: float = 1.0) -> Iterator[Samples]:
    for clip in clips:
        samples = corpora.read_audio(clip, sample_rate_hz)
        yield samples if speed == 1 else soxr.resample(samples, sample_rate_hz * speed, sample_rate_hz)
