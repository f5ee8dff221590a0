"""Which model a device starts with."""

import pytest

from device.inference.model import load_first_usable
from models.bundle import BundleError


def test_a_device_whose_own_model_is_broken_does_not_start() -> None:
    """Behind the settings' own model there is nothing to fall back to."""
    with pytest.raises(BundleError, match="no bundle"):
        load_first_usable(("/none", None), "none")
