"""The usual front end, librosa's, for the trials that compare with it."""

from typing import Any

import librosa
import numpy as np

from models.frontend import FrontEnd, Samples


def log_mel(samples: Samples, front_end: FrontEnd) -> Any:
    """Return log-mel frames in dB as librosa computes them, shape (mels, frames)."""
    energy = librosa.feature.melspectrogram(
        y=samples.astype(np.float32) / 32_768,
        sr=front_end.sample_rate_hz,
        n_fft=front_end.n_fft,
        hop_length=front_end.hop_length,
        n_mels=front_end.n_mels,
        fmin=front_end.f_min_hz,
        fmax=front_end.f_max_hz,
        center=False,
    )
    return librosa.power_to_db(energy, ref=1.0, amin=front_end.floor, top_db=None)
