"""What operators changed while the device ran: kept in its state folder, and in force before the settings."""

from pathlib import Path
from typing import Self

import attrs
import msgspec

from common import files, text
from common.decoding import JSON_ERRORS
from device.settings import DeviceSettings

_FILE = "kept.json"


class Overrides(msgspec.Struct, frozen=True):
    """What survives a restart because someone asked for it while the device ran; None: as the settings say."""

    paused: bool = False
    name: str | None = None
    gate_dbfs: float | None = None
    """None: as the settings say, by default it follows the noise floor."""
    model: str | None = None
    """Folder of the sent bundle, or name of the shipped one, that a `model` command asked for."""
    previous_model: str | None = None
    """What `model` was before, for the way back; empty for the settings' own."""
    baselines_forgotten: int = 0
    """How often someone asked the device to forget its baseline; one of before is not used again."""

    @classmethod
    def load(cls, state_dir: Path) -> Self:
        """Return the overrides of a state folder; none where there is no file.

        Raises:
            ValueError: the file is there and is not what `save` writes.
            OSError: the file is there, or may be, and cannot be read.
        """
        path = state_dir / _FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()
        except JSON_ERRORS as error:
            raise ValueError(f"{path} cannot be read ({error}); delete it to go back to the settings") from error

    def save(self, state_dir: Path) -> None:
        """Replace the overrides of a state folder, all or nothing.

        Raises:
            OSError: the folder cannot be written.
        """
        files.replace(state_dir / _FILE, msgspec.json.encode(self) + b"\n")

    def apply(self, settings: DeviceSettings) -> DeviceSettings:
        """Return the settings with the overrides in their place."""
        changed = {name: getattr(self, name) for name in ("name", "gate_dbfs", "model")}
        if self.name is not None:  # an earlier version also took names that cannot be shown
            changed["name"] = text.tidy(text.clean(self.name)) or None
        return attrs.evolve(settings, **{name: value for name, value in changed.items() if value is not None})
