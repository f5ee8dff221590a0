"""Baseline of a device: what is usual where it stands, kept in its state folder as a few numbers.

It begins anew with another model or microphone, after `forget`, and after an erasure of the device's data.
"""

import logging
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from broker.messages import BaselineHealth
from common import files
from common.decoding import JSON_ERRORS
from device.inference.takeover import Takeover
from models.baseline import LEARNED, NEUTRAL, Heard, Reference, shifted
from models.bundle import Manifest
from models.runtime import Scores

log = logging.getLogger(__name__)

FILE = "baseline.json"
"""In the state folder."""
SAVE_EVERY_S = 300.0
"""So much may be learned anew after a loss of power; a card is not worn out by it."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a baseline comes from; with any other it begins anew."""

    model: str
    """Hash of the model."""
    source: str
    """Id of the microphone or the clips."""
    generation: int
    """Erase generation of the device's data."""
    forgotten: int
    """How often someone has asked the device to forget it."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a baseline."""

    origin: Origin
    heard: Heard
    learned_at: int | None = None
    """When it was learned, Unix ms; None before."""


_decoder = msgspec.json.Decoder(Kept)


class Adjusted(NamedTuple):
    """Scores of a window after the baseline."""

    scores: Scores
    strength: float
    """How much of the shift was made, 0 to 1."""


class Baseline:
    """The baseline of one device; `adjust` belongs to one thread, call the rest from any.

    Args:
        state_dir: Holds its file.
        on: Whether it is used at all.
        half_life_min: Minutes of heard speech after which a window counts half.
        neutral_share: Assumed share of neutral speech; 0: as the model's manifest says.
    """

    def __init__(self, state_dir: Path, *, on: bool, half_life_min: float, neutral_share: float = 0.0) -> None:
        self._path = state_dir / FILE
        self._on = on
        self._half_life_min = half_life_min
        self._neutral_share = neutral_share
        self._lock = threading.Lock()
        self._origin: Origin | None = None
        self._reference: Reference | None = None
        self._half_life = 0.0
        self._heard = Heard()
        self._learned_at: int | None = None
        self._takeover: Takeover | None = None
        self._saved_s = time.monotonic()
        self._unsaved = False

    def use(self, manifest: Manifest, origin: Origin) -> None:
        """Take windows of a model and a source from now on; go on with what is kept of just these."""
        if not self._on:
            return
        with self._lock:
            if origin != self._origin:
                kept = self._load(origin, len(manifest.labels))
                self._heard, self._learned_at = (kept.heard, kept.learned_at) if kept else (Heard(), None)
                self._unsaved = False
                self._takeover = None
            self._origin = origin
            self._reference = _assumed(manifest, self._neutral_share)
            if self._reference and not self._takeover:
                self._takeover = Takeover(manifest.labels, self._reference)
            self._half_life = self._half_life_min * 60_000 / manifest.hop_ms

    def adjust(self, scores: Scores) -> Adjusted | None:
        """Return a window's scores after the baseline of all windows before, and learn from it; None without one.

        Args:
            scores: calibrated probabilities of a window with speech, shape (labels,).
        """
        with self._lock:
            if self._reference is None or self._takeover is None:
                return None
            before = self._heard
            self._takeover.push(scores, before, time.monotonic())
            self._heard = before.add(scores, self._half_life)
            self._unsaved = True
            if before.weight < LEARNED <= self._heard.weight and self._learned_at is None:
                self._learned_at = time.time_ns() // 1_000_000
            if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
                self._save()
            return Adjusted(shifted(scores, before.shift(self._reference)), before.strength)

    def save(self) -> None:
        """Write what has been learned since the last time."""
        with self._lock:
            if self._unsaved:
                self._save()

    def forget(self, generation: int) -> None:
        """Delete all that was learned, here and on disk, because the device's data has been erased.

        Args:
            generation: erase generation from now on.
        """
        with self._lock:
            self._heard, self._learned_at, self._unsaved = Heard(), None, False
            if self._takeover:
                self._takeover.forget()
            if self._origin:
                self._origin = msgspec.structs.replace(self._origin, generation=generation)
            self._delete()

    def health(self) -> BaselineHealth | None:
        """Return how far it has been learned; None without one."""
        with self._lock:
            if self._reference is None or self._takeover is None:
                return None
            told = health_of(self._heard, self._learned_at)
            return msgspec.structs.replace(told, taken_over=self._takeover.label(time.monotonic()))

    def _load(self, origin: Origin, labels: int) -> Kept | None:
        """Return what is kept of this origin; what is kept of another is deleted."""
        kept = load(self._path)
        if kept is None:
            return None
        if kept.origin != origin or len(kept.heard.logs) != labels:
            log.info("another model, microphone or erasure: what is usual here is learned anew")
            self._delete()
            return None
        return kept

    def _save(self) -> None:
        """Write the file; a disk that takes nothing does not stop the device, which tries again later."""
        if self._origin is None:
            return
        self._saved_s = time.monotonic()
        try:
            kept = Kept(origin=self._origin, heard=self._heard, learned_at=self._learned_at)
            files.replace(self._path, msgspec.json.encode(kept) + b"\n")
            self._unsaved = False
        except OSError as error:
            log.warning("%s cannot be written (%s); what was learned would be lost now", self._path, error)

    def _delete(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:  # its erase generation is an old one, so no later start takes it either
            log.warning("%s cannot be deleted: %s", self._path, error)


def load(path: Path) -> Kept | None:
    """Return the file of a baseline; None if it is missing or malformed."""
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, *JSON_ERRORS) as error:
        log.warning("%s cannot be read (%s); what is usual here is learned anew", path, error)
        return None


def health_of(heard: Heard, learned_at: int | None = None) -> BaselineHealth:
    """Return how far a baseline has been learned, and when it was (Unix ms)."""
    windows = min(LEARNED, int(heard.weight))
    return BaselineHealth(strength=round(heard.strength, 3), heard=windows, wanted=LEARNED, learned_at=learned_at)


def _assumed(manifest: Manifest, neutral_share: float) -> Reference | None:
    """Return a model's reference with the assumed share of neutral speech, if one is given and the model knows it."""
    if manifest.baseline is None or not neutral_share or NEUTRAL not in manifest.labels:
        return manifest.baseline
    return manifest.baseline.with_share(manifest.labels.index(NEUTRAL), neutral_share)
