"""Network adapters of this machine and the addresses that the hardware came with."""

import array
import fcntl
import re
import socket
import struct
import sys
import uuid
from pathlib import Path
from typing import NamedTuple

_NET = "sys/class/net"
_ADDRESS = re.compile("[0-9a-f]{12}")
_MULTICAST = 1 << 40
_LOCALLY_ADMINISTERED = 1 << 41
_PERMANENT = "0"
"""addr_assign_type of an address that the hardware came with (sysfs-class-net)."""
_SIOCETHTOOL = 0x8946
_ETHTOOL_GPERMADDR = 0x20
_LONGEST_ADDRESS = 32


class Adapter(NamedTuple):
    """A physical network adapter."""

    name: str
    address: str
    """That it came with, 12 lower-case hex digits, whatever address it uses now."""
    is_wireless: bool
    bus_path: str
    """Of its device below /sys."""


def physical(root: Path = Path("/")) -> list[Adapter]:
    """Return the physical adapters that have an address of their own, the one that names a machine best first.

    Physical is what has a device on a bus, and an address that neither software set nor chance made: no bridge, bond,
    tunnel, virtual or container interface. Addresses that a maker has registered come before locally administered
    ones, which telephones change at will; cable before wireless, which sits in a USB port more often; then the order
    of the bus, which the board decides, while names follow the order of discovery.

    Args:
        root: Folder of /sys.
    """
    net = root / _NET
    if not net.is_dir():
        return _from_library()
    found = [_adapter(folder) for folder in net.iterdir() if (folder / "device").exists()]
    return sorted((one for one in found if is_hardware_address(one.address)), key=_rank)


def addresses(root: Path = Path("/")) -> dict[str, str]:
    """Return the name of each interface by the address that it uses now, virtual ones included."""
    net = root / _NET
    names = sorted(folder.name for folder in net.iterdir()) if net.is_dir() else []
    return {word(net / name / "address").replace(":", ""): name for name in names}


def permanent_address(name: str) -> str:
    """Return the address that an adapter came with, as its driver tells (ethtool, ETHTOOL_GPERMADDR); may be empty.

    Whoever gives it another address leaves this one: a bond, or a network manager that hides a wireless adapter.
    """
    answer = array.array("B", struct.pack("II", _ETHTOOL_GPERMADDR, _LONGEST_ADDRESS) + bytes(_LONGEST_ADDRESS))
    request = struct.pack("16sP", name.encode(), answer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request.ljust(40, b"\0"))
        except OSError:  # the driver does not tell
            return ""
    (length,) = struct.unpack_from("I", answer, 4)
    return answer[8 : 8 + length].tobytes().hex()


def is_hardware_address(address: str) -> bool:
    """Return whether this can be the address of one adapter: neither zeros nor a group's."""
    return bool(_ADDRESS.fullmatch(address)) and bool(int(address, 16)) and not int(address, 16) & _MULTICAST


def word(path: Path) -> str:
    """Return the text of a kernel file as one lower-case word; empty if there is none or it is unreadable."""
    try:
        return "".join(path.read_text(errors="replace").replace("\0", "").lower().split())
    except OSError:
        return ""


def _adapter(folder: Path) -> Adapter:
    is_own = word(folder / "addr_assign_type") == _PERMANENT
    address = word(folder / "address").replace(":", "") if is_own else permanent_address(folder.name)
    is_wireless = any((folder / name).exists() for name in ("wireless", "phy80211"))
    return Adapter(folder.name, address, is_wireless, str((folder / "device").resolve()))


def _rank(adapter: Adapter) -> tuple[bool, bool, str, str]:
    return (_is_local(adapter.address), adapter.is_wireless, adapter.bus_path, adapter.name)


def _is_local(address: str) -> bool:
    return bool(int(address, 16) & _LOCALLY_ADMINISTERED)


def _from_library() -> list[Adapter]:
    """Return what the standard library finds on a system without /sys; on Linux it might find a bridge."""
    address = f"{uuid.getnode():012x}"
    if sys.platform == "linux" or not is_hardware_address(address):
        return []
    return [Adapter("network", address, is_wireless=False, bus_path="")]
