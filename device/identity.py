"""Which device this is."""

import secrets
import uuid
from pathlib import Path

from broker import topics

_MULTICAST = 1 << 40
_LOCALLY_ADMINISTERED = 1 << 41


def device_id(identity: str, state_dir: Path) -> str:
    """Return the device id, 12 lower-case hex digits.

    `hardware` is the MAC address of the machine, so that a cloned SD card in another machine is another device; a
    machine without one falls back to `random`, which the standard library announces by the multicast bit (RFC 4122,
    section 4.5). `random` is made once, kept in `state_dir`, and marked as locally administered. Anything
    else is the MAC address itself, for containers, which have none that lasts.

    Raises:
        ValueError: it is none of these.
    """
    if identity not in {"hardware", "random"}:
        return topics.device_id(identity)
    if identity == "hardware":
        node = uuid.getnode()
        if not node & _MULTICAST:
            return f"{node:012x}"
    return _kept_random_id(state_dir / "device-id")


def new_boot() -> str:
    """Return 64 random bits as 16 hex digits: the name of this run of the process."""
    return secrets.token_hex(8)


def _kept_random_id(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = f"{(secrets.randbits(48) | _LOCALLY_ADMINISTERED) & ~_MULTICAST:012x}"
        path.write_text(made + "\n")
        return made
