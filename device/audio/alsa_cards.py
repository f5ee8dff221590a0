"""Sound cards as the kernel lists them, with ids that survive reboots and replugging."""

from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc/asound")
SYS = Path("/sys/class/sound")


class AlsaCard(NamedTuple):
    """One sound card; its USB fields are None if it is not on USB, the serial number also if it has none."""

    number: int
    """As in `hw:1,0`; depends on which card was plugged in first."""
    alsa_id: str
    """ALSA's id of the card, such as `Device`."""
    usb_path: str | None = None
    """Where it is plugged in: the bus, then the ports on the way, such as `1-1.2`."""
    usb_model: str | None = None
    """Vendor and product, such as `0d8c:0014`."""
    usb_serial: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """Values of the `mic` setting that name this card, the most specific first."""
        found = [f"usb-path:{self.usb_path}"] if self.usb_path else []
        if self.usb_model:
            usb_id = f"usb-id:{self.usb_model}"
            found = [f"{usb_id}:{self.usb_serial}", *found] if self.usb_serial else [*found, usb_id]
        return (*found, f"alsa:{self.alsa_id}")

    def has_id(self, card_id: str) -> bool:
        """Return whether an id names this card; a `usb-id` without a serial number names every card of that model."""
        return card_id in self.ids or card_id == f"usb-id:{self.usb_model}"

    def is_same(self, other: "AlsaCard") -> bool:
        """Return whether two records are of one card, wherever it is plugged in now.

        Compares serial numbers if it has one, else model and USB port, else (not on USB) ALSA's id.
        """
        if self.usb_model is None or other.usb_model is None:
            return self.usb_model == other.usb_model and self.alsa_id == other.alsa_id
        if self.usb_serial:
            return (self.usb_model, self.usb_serial) == (other.usb_model, other.usb_serial)
        return (self.usb_model, self.usb_path, None) == (other.usb_model, other.usb_path, other.usb_serial)


def read_cards(proc: Path = PROC, sys: Path = SYS) -> dict[int, AlsaCard]:
    """Return the cards that are plugged in now, by number; empty where the kernel has no ALSA."""
    found = {}
    for folder in sorted(proc.glob("card[0-9]*")):
        number = int(folder.name.removeprefix("card"))
        alsa_id = _read(folder / "id")
        if alsa_id is not None:  # None: unplugged since the folder was listed
            found[number] = AlsaCard(number, alsa_id, *_read_usb(sys / folder.name / "device"))
    return found


def _read_usb(device: Path) -> tuple[str | None, str | None, str | None]:
    """Return port path, model and serial number of the USB device that a card belongs to."""
    interface = device.resolve()  # of the USB device, which is a folder further up
    for folder in (interface, *interface.parents):
        vendor, product = _read(folder / "idVendor"), _read(folder / "idProduct")
        if vendor and product:
            return folder.name, f"{vendor}:{product}", _read(folder / "serial")
    return None, None, None


def _read(path: Path) -> str | None:
    """Return the text of a kernel file; None if there is no such file or it is blank."""
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
