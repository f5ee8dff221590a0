"""Network adapters of the machine that runs the tests."""

import sys
from pathlib import Path

import pytest

from device.system import network_adapters

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /sys")


def test_drivers_tell_the_address_that_sysfs_shows_as_permanent() -> None:
    """For a physical adapter whose address nobody changed, kernel file and ioctl agree; loopback has none."""
    assert int(network_adapters.permanent_address("lo") or "0", 16) == 0
    assert network_adapters.permanent_address("no such") == ""
    for adapter in network_adapters.physical():
        folder = Path("/sys/class/net", adapter.name)
        if network_adapters.word(folder / "addr_assign_type") == "0":
            assert network_adapters.permanent_address(adapter.name) == adapter.address


@pytest.mark.parametrize("address", ["", "000000000000", "ffffffffffff", "01005e000001", "00" * 20])
def test_what_no_single_adapter_has_is_no_hardware_address(address: str) -> None:
    """Nothing, zeros, broadcast, multicast, and the longer address of InfiniBand."""
    assert not network_adapters.is_hardware_address(address)
