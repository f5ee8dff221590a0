"""How far speech stands above the noise floor."""

import numpy as np
import pytest

from device.inference.noise_floor import NoiseFloor


def test_snr_ignores_exact_zeros_and_is_bounded() -> None:
    """A muted microphone does not make the room seem quiet, and every SNR is 0 to 120 dB."""
    noise_floor = NoiseFloor()
    noise_floor.push(np.zeros(100))
    assert noise_floor.snr_db(np.array([0.1])) == 0, "nothing to compare yet"

    noise_floor.push(np.concatenate((np.full(100, 1e-4), np.zeros(500))))
    assert noise_floor.snr_db(np.array([1e-2])) == pytest.approx(20)
    assert noise_floor.snr_db(np.array([1e-9])) == 0
    noise_floor.push(np.full(10_000, 1e-15))
    assert noise_floor.snr_db(np.array([1.0])) == 120


def test_the_noise_floor_follows_the_room_within_twenty_seconds() -> None:
    """A fan that is switched on or off is the noise floor soon after, and one click is not."""
    noise_floor = NoiseFloor()
    quiet, fan = np.full(700, 1e-6), np.full(700, 1e-4)
    noise_floor.push(quiet)
    assert noise_floor.snr_db(np.array([1e-2])) == pytest.approx(40)
    noise_floor.push(fan)
    assert noise_floor.snr_db(np.array([1e-2])) == pytest.approx(20)
    noise_floor.push(quiet[:70])
    assert noise_floor.snr_db(np.array([1e-2])) > 20
    noise_floor.push(np.array([1e-12]))
    assert noise_floor.snr_db(np.array([1e-2])) < 45
