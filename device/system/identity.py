"""Identity of the device, and of the machine it runs on."""

import logging
import re
import secrets
import uuid
from pathlib import Path

from broker import topics
from common import files

log = logging.getLogger(__name__)

Machine = frozenset[str]
"""Facts about a machine's hardware, each `kind:value`; the strongest kind is `serial`, then `board`, then `mac`.

/etc/machine-id is none of them: it is on the memory card, which may move to another machine.
"""

_KINDS = ("serial:", "board:", "mac:")
_MULTICAST = 1 << 40
_LOCALLY_ADMINISTERED = 1 << 41
_PERMANENT = "0"
"""addr_assign_type of an address that the hardware came with (sysfs-class-net)."""
_SHARED_BOARD = "03000200-0400-0500-0006-000700080009"
"""Many cheap boards share this number."""


def device_id(identity: str, state_dir: Path, root: Path = Path("/")) -> str:
    """Return the device id, 12 lower-case hex digits.

    `hardware` is the MAC address of the machine, so that a cloned SD card in another machine is another device; on a
    machine without one it falls back to `random` (the standard library then sets the multicast bit; RFC 4122, section
    4.5). `random` is made once per machine, kept in `state_dir`, and marked as locally administered. Anything else is
    the MAC address itself, for containers, whose own does not last.

    Args:
        identity: The `identity` setting.
        state_dir: Where a random id is kept.
        root: Folder of /proc and /sys.

    Raises:
        ValueError: `identity` is none of these, or a random id cannot be written.
    """
    if identity not in {"hardware", "random"}:
        return topics.device_id(identity)
    if identity == "hardware":
        node = uuid.getnode()
        if not node & _MULTICAST:
            return f"{node:012x}"
    path = state_dir / "device-id"
    try:
        return _random_id(path, machine(root))
    except OSError as error:
        raise ValueError(
            f"the random identity cannot be written to {path} ({error.strerror}); set state_dir to a folder that can"
        ) from error


def machine(root: Path = Path("/")) -> Machine:
    """Return the facts about this machine's hardware; none in most containers.

    Args:
        root: Folder of /proc and /sys.
    """
    serial = _read(root / "proc/device-tree/serial-number")
    board = _read(root / "sys/class/dmi/id/product_uuid")  # often for root only
    found = {f"mac:{address}" for address in _hardware_addresses(root / "sys/class/net")}
    if set(serial) - {"0"}:
        found.add(f"serial:{serial}")
    if len(set(board) - {"-"}) > 1 and board != _SHARED_BOARD:
        found.add(f"board:{board}")
    return frozenset(found)


def same_machine(one: Machine, other: Machine) -> bool:
    """Return whether two sets of facts can be of one machine; the strongest kind that both have decides.

    So it does not matter that only root may read some facts, or that a network adapter comes or goes.
    """
    for kind in _KINDS:
        ours, theirs = ({fact for fact in facts if fact.startswith(kind)} for facts in (one, other))
        if ours and theirs:
            return bool(ours & theirs)
    return True


def new_boot() -> str:
    """Return a new `broker.messages.Boot`: 64 random bits as 16 hex digits."""
    return secrets.token_hex(8)


def _random_id(path: Path, here: Machine) -> str:
    """Return the id kept for this machine, or make a new one: a cloned card must not be the same device."""
    kept = path.read_text().split() if path.exists() else []
    if kept and re.fullmatch("[0-9a-f]{12}", kept[0]):
        if same_machine(frozenset(kept[1:]), here):
            return kept[0]
        log.warning(
            "the identity in %s was made on another machine (a cloned or swapped card?): making a new one", path
        )
    made = f"{(secrets.randbits(48) | _LOCALLY_ADMINISTERED) & ~_MULTICAST:012x}"
    files.replace(path, " ".join([made, *sorted(here)]).encode() + b"\n")  # half an id would be another device
    return made


def _hardware_addresses(net: Path) -> list[str]:
    """Return the MAC addresses that network adapters came with, not those of bridges, containers and tunnels."""
    if not net.is_dir():
        node = uuid.getnode()
        return [] if node & _MULTICAST else [f"{node:012x}"]
    adapters = [path for path in net.iterdir() if (path / "device").exists()]
    return [
        _read(adapter / "address").replace(":", "")
        for adapter in adapters
        if _read(adapter / "addr_assign_type") == _PERMANENT and set(_read(adapter / "address")) - set("0:")
    ]


def _read(path: Path) -> str:
    """Return the text of a kernel file as one lower-case word; empty if there is none or it is unreadable."""
    try:
        return "".join(path.read_text(errors="replace").replace("\0", "").lower().split())
    except OSError:
        return ""
