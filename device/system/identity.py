"""Identity of the device, and of the machine it runs on."""

import logging
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from broker import topics
from common import files
from device.system import network_adapters
from device.system.network_adapters import word

log = logging.getLogger(__name__)

Machine = frozenset[str]
"""Facts about a machine's hardware, each `kind:value`; the strongest kind is `serial`, then `board`, then `mac`.

/etc/machine-id is none of them: it is on the memory card, which may move to another machine.
"""

RANDOM, SETTING, EARLIER = "at random", "the setting", "earlier"
_KINDS = ("serial:", "board:", "mac:")
_ORIGIN = "from:"
_MULTICAST = 1 << 40
_LOCALLY_ADMINISTERED = 1 << 41
_SHARED_BOARD = "03000200-0400-0500-0006-000700080009"
"""Many cheap boards share this number."""


class Owner(NamedTuple):
    """Whose records an outbox holds."""

    device: str
    machine: Machine


class Identity(NamedTuple):
    """A device id, and where it is from."""

    device: str
    """12 lower-case hex digits."""
    origin: str
    """Name of the network interface; or `RANDOM`, `SETTING`, or `EARLIER`: an interface that has gone since."""


class _Kept(NamedTuple):
    """What the state folder keeps of an id that was chosen once."""

    identity: Identity
    machine: Machine


def device_id(identity: str, state_dir: Path, root: Path = Path("/"), *, outbox: Owner | None = None) -> str:
    """Return the device id, as `find` does, and keep it; make a random one where there is none yet.

    Raises:
        ValueError: `identity` is not usable, or the id cannot be read, or a random one cannot be written.
    """
    path = _path(identity, state_dir)
    here = machine(root)
    try:
        found = find(identity, state_dir, root, outbox=outbox)
        kept = path and _read(path)
    except OSError as error:
        raise ValueError(
            f"the identity in {path} cannot be read ({error.strerror}); run this as the device's user"
        ) from error
    if path is None:
        return topics.device_id(identity)
    if kept and not same_machine(kept.machine, here):
        log.warning(
            "the identity in %s was made on another machine (a cloned or swapped card?): making a new one", path
        )
        kept = None
    if kept and here <= kept.machine:
        return kept.identity.device
    made = found or Identity(_random_id(), RANDOM)
    try:
        _write(path, _Kept(made, here | kept.machine if kept else here))
    except OSError as error:
        if found is None:
            raise ValueError(
                f"the random identity cannot be written to {path} ({error.strerror}); "
                "set state_dir to a folder that can"
            ) from error
        log.warning("the identity cannot be kept in %s (%s); another network interface may change it", path, error)
    return made.device


def find(identity: str, state_dir: Path, root: Path = Path("/"), *, outbox: Owner | None = None) -> Identity | None:
    """Return the device's id without writing anything; None for a random one that has yet to be made.

    `hardware` is the address of a physical network interface (`network_adapters.physical`), chosen once for a machine
    and then kept in `state_dir`, whichever interfaces come and go; a machine without one gets a random id. A cloned SD
    card in another machine is another device. `random` is made once for a machine, kept, and marked as locally
    administered. Anything else is the address itself, for containers, whose own does not last.

    Args:
        identity: The `identity` setting.
        state_dir: Where an id is kept.
        root: Folder of /proc and /sys.
        outbox: Owner of the outbox there. Where no id is kept yet, an earlier version may have chosen the owner's by
            other rules; it stays.

    Raises:
        ValueError: `identity` is none of these.
        OSError: a kept id cannot be read.
    """
    path = _path(identity, state_dir)
    if path is None:
        return Identity(topics.device_id(identity), SETTING)
    here = machine(root)
    kept = _read(path)
    if kept and same_machine(kept.machine, here):
        return kept.identity
    if identity == "random":
        return None
    if kept is None and outbox and same_machine(outbox.machine, here):
        origin = _origin(outbox, state_dir, root)
        if origin:
            return Identity(outbox.device, origin)
    adapters = network_adapters.physical(root)
    return Identity(adapters[0].address, adapters[0].name) if adapters else None


def machine(root: Path = Path("/")) -> Machine:
    """Return the facts about this machine's hardware; none in most containers.

    Args:
        root: Folder of /proc and /sys.
    """
    serial = word(root / "proc/device-tree/serial-number")
    board = word(root / "sys/class/dmi/id/product_uuid")  # often for root only
    found = {f"mac:{adapter.address}" for adapter in network_adapters.physical(root)}
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


def _path(identity: str, state_dir: Path) -> Path | None:
    """Return where the id is kept; None for a given one."""
    names = {"hardware": "hardware-id", "random": "device-id"}
    return state_dir / names[identity] if identity in names else None


def _origin(outbox: Owner, state_dir: Path, root: Path) -> str | None:
    """Return where an earlier version can have had an outbox's id from; None if someone must have given it.

    It took the address of any interface, or a random id.
    """
    interfaces = network_adapters.addresses(root) | {one.address: one.name for one in network_adapters.physical(root)}
    random = _read(state_dir / "device-id")
    if outbox.device in interfaces:
        return interfaces[outbox.device]
    if random and random.identity.device == outbox.device:
        return RANDOM
    return EARLIER if f"mac:{outbox.device}" in outbox.machine else None


def _random_id() -> str:
    return f"{(secrets.randbits(48) | _LOCALLY_ADMINISTERED) & ~_MULTICAST:012x}"


def _read(path: Path) -> _Kept | None:
    """Return what is kept; None if nothing is, or what a power loss has cut short.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        device, *facts = path.read_text().split() or [""]
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not re.fullmatch("[0-9a-f]{12}", device):
        return None
    origin = next((fact.removeprefix(_ORIGIN) for fact in facts if fact.startswith(_ORIGIN)), "")
    known = frozenset(fact for fact in facts if not fact.startswith(_ORIGIN))
    return _Kept(Identity(device, origin or RANDOM), known)


def _write(path: Path, kept: _Kept) -> None:
    """Keep an id, all or nothing: half an id would be another device."""
    origin = "" if kept.identity.origin == RANDOM else _ORIGIN + kept.identity.origin
    words = [kept.identity.device, *filter(None, [origin]), *sorted(kept.machine)]
    files.replace(path, " ".join(words).encode() + b"\n")
