"""Sound cards as the kernel knows them, with ids that stay the same over reboots and replugging."""

from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc/asound")
SYS = Path("/sys/class/sound")


class AlsaCard(NamedTuple):
    """One sound card; `None` where it does not hang on USB, or has no serial number."""

    number: int
    """As in `hw:1,0`; depends on what was plugged in first."""
    alsa: str
    """ALSA's id of the card, such as `Device`."""
    usb_path: str | None = None
    """Where it is plugged in, such as `1-1.2`: bus, then the ports on the way."""
    usb_model: str | None = None
    """Vendor and product, such as `0d8c:0014`."""
    usb_serial: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """By what the `mic` setting may name it, the one that says most first."""
        found = [f"usb-path:{self.usb_path}"] if self.usb_path else []
        if self.usb_model:
            usb_id = f"usb-id:{self.usb_model}"
            found = [f"{usb_id}:{self.usb_serial}", *found] if self.usb_serial else [*found, usb_id]
        return (*found, f"alsa:{self.alsa}")

    def is_named(self, wanted: str) -> bool:
        """Return whether an id names this card; a `usb-id` without a serial number names every card of that model."""
        return wanted in self.ids or wanted == f"usb-id:{self.usb_model}"

    def is_same(self, other: "AlsaCard") -> bool:
        """Return whether this is the card that another record tells of, wherever it is now.

        By serial number if it has one, else by model and where it is plugged in, else (no USB) by ALSA's id.
        """
        if self.usb_model is None or other.usb_model is None:
            return self.usb_model == other.usb_model and self.alsa == other.alsa
        if self.usb_serial:
            return (self.usb_model, self.usb_serial) == (other.usb_model, other.usb_serial)
        return (self.usb_model, self.usb_path, None) == (other.usb_model, other.usb_path, other.usb_serial)


def cards(proc: Path = PROC, sys: Path = SYS) -> dict[int, AlsaCard]:
    """Return the cards that are there now, by number; none where the kernel has no ALSA."""
    found = {}
    for folder in sorted(proc.glob("card[0-9]*")):
        number = int(folder.name.removeprefix("card"))
        alsa = _text(folder / "id")
        if alsa is not None:  # None: unplugged since the folder was listed
            found[number] = AlsaCard(number, alsa, *_usb(sys / folder.name / "device"))
    return found


def _usb(device: Path) -> tuple[str | None, str | None, str | None]:
    """Return port path, model and serial number of the USB device that a card's device belongs to."""
    folder = device.resolve()  # a link to the USB interface; the device is the folder around it
    for around in (folder, *folder.parents):
        vendor, product = _text(around / "idVendor"), _text(around / "idProduct")
        if vendor and product:
            return around.name, f"{vendor}:{product}", _text(around / "serial")
    return None, None, None


def _text(path: Path) -> str | None:
    """Return what the kernel says in a file, None if there is no such file or nothing in it."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
