"""Which model a device starts with."""

import shutil
from pathlib import Path

import pytest

import models.bundle
from device.inference.model import load_first_usable
from models.bundle import BundleError

SHIPPED = models.bundle.find(models.bundle.DEFAULT)


def test_the_newest_model_that_is_usable_is_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broken one is skipped with a warning that gives the reason."""
    sent = tmp_path / "sent"
    shutil.copytree(SHIPPED, sent)

    found = load_first_usable((str(tmp_path / "broken"), None, str(sent)), "six")

    assert found.bundle.folder == sent
    assert "broken" in caplog.text
    assert "trying the one before" in caplog.text


def test_without_a_usable_one_that_was_sent_the_settings_decide(tmp_path: Path) -> None:
    """An empty name stands for the settings' own model."""
    assert load_first_usable((str(tmp_path), ""), models.bundle.DEFAULT).bundle.folder == SHIPPED
    assert load_first_usable((), models.bundle.DEFAULT).bundle.folder == SHIPPED


def test_a_device_whose_own_model_is_broken_does_not_start() -> None:
    """Behind the settings' own model there is nothing to fall back to."""
    with pytest.raises(BundleError, match="no bundle"):
        load_first_usable(("/none", None), "none")
