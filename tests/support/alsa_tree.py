"""Folders that list sound cards as the kernel does."""

from pathlib import Path
from typing import NamedTuple

from device.audio.alsa_cards import AlsaCard, read_cards


class AlsaTree(NamedTuple):
    """The kernel's folders of a machine with a USB hub, where tests plug in sound cards."""

    proc: Path
    sys: Path
    bus: Path

    @classmethod
    def make(cls, folder: Path) -> "AlsaTree":
        """Return a machine without sound cards; its hub is itself a USB device."""
        tree = cls(folder / "proc", folder / "class", folder / "devices" / "bus")
        hub = tree.bus / "usb1" / "1-1"
        for part in (tree.proc, tree.sys, hub):
            part.mkdir(parents=True)
        for device, product in ((hub.parent, "0002"), (hub, "9514")):
            (device / "idVendor").write_text("1d6b\n")
            (device / "idProduct").write_text(f"{product}\n")
        return tree

    def plug_usb(self, number: int, alsa: str, path: str, model: str = "0d8c:0014", serial: str | None = None) -> None:
        """Plug a USB card into a port of the hub; it belongs to an interface of the USB device there."""
        device = self.bus / "usb1" / "1-1" / path
        (device / f"{path}:1.0" / "sound" / f"card{number}").mkdir(parents=True)
        vendor, product = model.split(":")
        for name, text in {"idVendor": vendor, "idProduct": product, "serial": serial}.items():
            if text is not None:
                (device / name).write_text(f"{text}\n")
        self._add(number, alsa, device / f"{path}:1.0")

    def solder(self, number: int, alsa: str) -> None:
        """Add a card that is not a USB device."""
        device = self.bus.parent / "soc" / f"sound{number}"
        device.mkdir(parents=True)
        self._add(number, alsa, device)

    def unplug(self, number: int) -> None:
        """Remove a card's links and folders, as the kernel does."""
        (self.proc / f"card{number}" / "id").unlink()
        (self.proc / f"card{number}").rmdir()
        (self.sys / f"card{number}" / "device").unlink()

    def cards(self) -> dict[int, AlsaCard]:
        """Return the cards as the device reads them."""
        return read_cards(self.proc, self.sys)

    def _add(self, number: int, alsa: str, device: Path) -> None:
        (self.proc / f"card{number}").mkdir()
        (self.proc / f"card{number}" / "id").write_text(f"{alsa}\n")
        (self.sys / f"card{number}").mkdir(exist_ok=True)
        (self.sys / f"card{number}" / "device").symlink_to(device)
