"""Which device this is, and which machine it runs on."""

import logging
import re
import secrets
import uuid
from pathlib import Path

from broker import topics
from common import files

log = logging.getLogger(__name__)

Machine = frozenset[str]
"""What is known of a machine's hardware, each fact as `kind:value`; the strongest kind is `serial`, then `board`, then
`mac`. What a card carries, as /etc/machine-id, says nothing of the machine that it is in."""

_KINDS = ("serial:", "board:", "mac:")
_MULTICAST = 1 << 40
_LOCALLY_ADMINISTERED = 1 << 41
_PERMANENT = "0"
"""addr_assign_type of an address that the hardware came with (sysfs-class-net)."""
_SHARED_BOARD = "03000200-0400-0500-0006-000700080009"
"""Many cheap boards have this number, so it tells nothing."""


def device_id(identity: str, state_dir: Path, root: Path = Path("/")) -> str:
    """Return the device id, 12 lower-case hex digits.

    `hardware` is the MAC address of the machine, so that a cloned SD card in another machine is another device; a
    machine without one falls back to `random`, which the standard library announces by the multicast bit (RFC 4122,
    section 4.5). `random` is made once for each machine, kept in `state_dir`, and marked as locally administered.
    Anything else is the MAC address itself, for containers, which have none that lasts.

    Args:
        identity: One of these.
        state_dir: Where a random id is kept.
        root: Where /proc and /sys are.

    Raises:
        ValueError: it is none of these, or a random id cannot be kept.
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
            f"the random identity cannot be kept in {path} ({error.strerror}); a state_dir that can be written is right"
        ) from error


def machine(root: Path = Path("/")) -> Machine:
    """Return what can be known of this machine's hardware; empty where nothing tells, as in most containers.

    Args:
        root: Where /proc and /sys are.
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
    """Return whether two descriptions can be of one machine: the strongest kind of fact that both have decides.

    So it does not matter that only root may read some facts, or that a network adapter comes or goes.
    """
    for kind in _KINDS:
        ours, theirs = ({fact for fact in facts if fact.startswith(kind)} for facts in (one, other))
        if ours and theirs:
            return bool(ours & theirs)
    return True


def new_boot() -> str:
    """Return 64 random bits as 16 hex digits: the name of this run of the process."""
    return secrets.token_hex(8)


def _random_id(path: Path, here: Machine) -> str:
    """Return the id that is kept for this machine, or a new one: a clone of the card must not be the same device."""
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
    """Return the MAC addresses that network adapters came with; not those of bridges, containers and tunnels."""
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
    """Return a fact of the kernel as one lower-case word; empty where there is none, or not for us."""
    try:
        return "".join(path.read_text(errors="replace").replace("\0", "").lower().split())
    except OSError:
        return ""
