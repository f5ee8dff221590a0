"""Overrides survive a restart and stand in front of the settings."""

from pathlib import Path

import pytest

from device.control.overrides import Overrides
from device.settings import DeviceSettings

SETTINGS = DeviceSettings(name="Kitchen", gate_dbfs=-50.0, model="ang-hap-neu")


def test_overrides_come_back_as_they_were_saved(tmp_path: Path) -> None:
    """What `save` writes, `load` returns; the folder is made if need be."""
    overrides = Overrides(paused=True, name="Hall", gate_dbfs=-42.5, model="/models/one", previous_model="")

    overrides.save(tmp_path / "state")

    assert Overrides.load(tmp_path / "state") == overrides
    assert Overrides.load(tmp_path / "other") == Overrides(), "none where there is no file"


def test_overrides_stand_in_front_of_the_settings() -> None:
    """Only what was changed is overridden."""
    changed = Overrides(paused=True, name="Hall", previous_model="/models/one").apply(SETTINGS)

    assert (changed.name, changed.gate_dbfs, changed.model) == ("Hall", -50.0, "ang-hap-neu")
    assert Overrides().apply(SETTINGS) == SETTINGS


@pytest.mark.parametrize(
    ("kept", "name"), [("a\x00b\u202e", "a\ufffdb\ufffd"), ("   ", "Kitchen"), (" Hall  2", "Hall 2")]
)
def test_a_name_that_an_earlier_version_took_does_not_stop_the_start(kept: str, name: str) -> None:
    """What cannot be shown is replaced, and a name of spaces is none."""
    assert Overrides(name=kept).apply(SETTINGS).name == name


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[]", b'{"gate_dbfs": "loud"}'])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    """The sentence names the file and how to go back to the settings."""
    (tmp_path / "kept.json").write_bytes(content)

    with pytest.raises(ValueError, match=r"kept.json cannot be read \(.*\); delete it to go back to the settings"):
        Overrides.load(tmp_path)
