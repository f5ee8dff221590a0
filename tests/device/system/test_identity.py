"""Identity of device and machine: it lasts, and a cloned or moved card is noticed."""

import shutil
from pathlib import Path

import pytest
from outboxes import open_outbox, put

from device.delivery.outbox_file import kept_aside, owner_of
from device.system import network_adapters
from device.system.identity import RANDOM, Machine, Owner, device_id, find, machine, same_machine

PI = {"proc/device-tree/serial-number": "10000000A1B2C3D4\0"}
PC = {"sys/class/dmi/id/product_uuid": "4C4C4544-0042-3510-8051-B4C04F4A4D32\n"}


def adapter(name: str, address: str, kind: str = "0", *, real: bool = True, bus: str = "pci") -> dict[str, str]:
    """Return the files of a network adapter; one whose name begins with w is wireless."""
    folder = f"sys/class/net/{name}"
    files = {f"{folder}/address": f"{address}\n", f"{folder}/addr_assign_type": f"{kind}\n"}
    if name.startswith("wlan"):
        files[f"{folder}/phy80211/name"] = ""
    return files | ({f"{folder}/device": f"-> {bus}"} if real else {})


def root(folder: Path, *parts: dict[str, str]) -> Path:
    """Return a folder with what a kernel would show; a text that begins with an arrow is a link to a device."""
    shutil.rmtree(folder, ignore_errors=True)
    files = adapter("lo", "00:00:00:00:00:00", real=False)
    for part in parts:
        files |= part
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            bus = folder / "sys" / "devices" / text[3:]
            bus.mkdir(parents=True, exist_ok=True)
            path.symlink_to(bus)
        else:
            path.write_text(text)
    return folder


@pytest.fixture(autouse=True)
def permanent(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what drivers tell of the addresses that adapters came with, by name: nothing yet."""
    told: dict[str, str] = {}
    monkeypatch.setattr(network_adapters, "permanent_address", lambda name: told.get(name, ""))
    return told


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        (PI, {"serial:10000000a1b2c3d4"}),
        (PC, {"board:4c4c4544-0042-3510-8051-b4c04f4a4d32"}),
        (adapter("eth0", "b8:27:eb:00:00:01"), {"mac:b827eb000001"}),
        (adapter("eth0", "b8:27:eb:00:00:01", "3"), set()),
        (adapter("docker0", "02:42:00:00:00:01", real=False), set()),
        ({"proc/device-tree/serial-number": "0000000000000000\0"}, set()),
        ({"sys/class/dmi/id/product_uuid": "00000000-0000-0000-0000-000000000000\n"}, set()),
        ({"sys/class/dmi/id/product_uuid": "03000200-0400-0500-0006-000700080009\n"}, set()),
        ({}, set()),
    ],
    ids=["Pi", "PC", "adapter", "address that was set", "bridge", "no serial", "no board", "a shared board", "nothing"],
)
def test_a_machine_is_known_by_its_hardware(tmp_path: Path, files: dict[str, str], facts: set[str]) -> None:
    """Addresses that software set, and numbers that many machines share, do not count."""
    assert machine(root(tmp_path, files)) == facts


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"serial:1", "mac:a"}, {"serial:1", "mac:b"}, True),
        ({"serial:1", "mac:a"}, {"serial:2", "mac:a"}, False),
        ({"serial:1", "mac:a"}, {"mac:a"}, True),
        ({"board:1", "mac:a"}, {"mac:b"}, False),
        ({"mac:a", "mac:b"}, {"mac:b", "mac:c"}, True),
        ({"serial:1"}, {"mac:a"}, True),
        ({"serial:1"}, set(), True),
    ],
    ids=[
        "adapter changed",
        "adapter moved",
        "serial unreadable",
        "clone",
        "dongle changed",
        "no common fact",
        "container",
    ],
)
def test_the_strongest_fact_that_both_have_decides(one: set[str], other: set[str], *, same: bool) -> None:
    """Neither missing rights nor a changed adapter makes another machine; without a common fact it is the same."""
    assert same_machine(Machine(one), Machine(other)) is same
    assert same_machine(Machine(other), Machine(one)) is same


def test_a_random_identity_lasts_on_its_machine(tmp_path: Path) -> None:
    """It is made once, and marked as locally administered."""
    here = root(tmp_path / "pi", PI)
    made = device_id("random", tmp_path / "state", here)

    assert device_id("random", tmp_path / "state", here) == made
    assert int(made, 16) >> 40 & 0b11 == 0b10


def test_a_cloned_random_identity_is_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two devices never share an id because a card was copied; the log says what happened."""
    made = device_id("random", tmp_path / "state", root(tmp_path / "one", PI))
    other = root(tmp_path / "two", {"proc/device-tree/serial-number": "10000000ffffffff\0"})

    new = device_id("random", tmp_path / "state", other)

    assert new != made
    assert device_id("random", tmp_path / "state", other) == new
    assert "was made on another machine (a cloned or swapped card?)" in caplog.text


@pytest.mark.parametrize("left", ["", "02ab\n"])
def test_half_an_identity_is_none(tmp_path: Path, left: str) -> None:
    """A file that a power loss cut short is not taken for an id."""
    (tmp_path / "device-id").write_text(left)

    assert len(device_id("random", tmp_path, root(tmp_path / "pi", PI))) == 12


def test_an_identity_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Otherwise each start would be another device; the error asks for a folder."""
    (tmp_path / "file").touch()

    with pytest.raises(ValueError, match=r"cannot be written to .*device-id.*set state_dir to a folder that can"):
        device_id("random", tmp_path / "file", root(tmp_path / "pi", PI))


def test_a_given_address_is_the_identity(tmp_path: Path) -> None:
    """In whatever spelling, and nothing is written."""
    assert device_id("AA:BB:CC:DD:EE:FF", tmp_path / "state") == "aabbccddeeff"
    assert not (tmp_path / "state").exists()


CABLE = adapter("eth0", "b8:27:eb:00:00:01", bus="platform/ethernet")
LATER_ON_THE_BUS = adapter("ens1", "b8:27:eb:00:00:00", bus="usb/1-3")
WIRELESS = adapter("wlan0", "b8:27:eb:00:00:02", bus="platform/sdio")
STICK = adapter("wlan1", "00:0f:00:00:00:03", bus="usb/1-1")
PHONE = adapter("usb0", "02:11:22:33:44:55", bus="usb/1-2")
DOCKER = adapter("docker0", "02:42:ac:00:00:01", real=False)
VIRTUAL = (
    DOCKER
    | adapter("veth1a2b", "2a:00:00:00:00:01", real=False)
    | adapter("br-1a2b", "b8:27:eb:00:00:09", "3", real=False)
    | adapter("tap0", "3a:00:00:00:00:01", real=False)
    | adapter("bond0", "b8:27:eb:00:00:01", "2", real=False)
    | adapter("dummy0", "4a:00:00:00:00:01", real=False)
)


@pytest.mark.parametrize(
    ("parts", "device"),
    [
        ([CABLE], "b827eb000001"),
        ([WIRELESS], "b827eb000002"),
        ([CABLE, WIRELESS, VIRTUAL], "b827eb000001"),
        ([WIRELESS, DOCKER], "b827eb000002"),
        ([LATER_ON_THE_BUS, CABLE], "b827eb000001"),
        ([PHONE, WIRELESS], "b827eb000002"),
        ([PHONE], "021122334455"),
        ([adapter("eth0", "ff:ff:ff:ff:ff:ff"), WIRELESS], "b827eb000002"),
    ],
    ids=["cable", "wireless", "both", "Docker", "two cables", "telephone", "only a telephone", "broadcast"],
)
def test_the_id_is_the_address_of_the_first_physical_interface(
    tmp_path: Path, parts: list[dict[str, str]], device: str
) -> None:
    """No bridge or container interface counts, and it does not matter which interface has an IP address now."""
    assert device_id("hardware", tmp_path / "state", root=root(tmp_path / "root", *parts)) == device


def test_an_address_that_software_set_hides_none(tmp_path: Path, permanent: dict[str, str]) -> None:
    """A randomised wireless address and the common one of a bond's members give way to those they came with."""
    hidden = root(tmp_path / "one", adapter("wlan0", "5e:01:02:03:04:05", "3"))
    bonded = root(tmp_path / "two", *(adapter(f"eth{n}", "b8:27:eb:00:00:07", "3", bus=f"pci/{n}") for n in (0, 1)))
    permanent |= {"wlan0": "b827eb000002", "eth0": "b827eb000006", "eth1": "b827eb000007"}

    assert device_id("hardware", tmp_path / "hidden", root=hidden) == "b827eb000002"
    assert device_id("hardware", tmp_path / "bonded", root=bonded) == "b827eb000006"
    assert machine(hidden) == {"mac:b827eb000002"}


@pytest.mark.parametrize("facts", [PI, {}], ids=["Pi", "no serial"])
def test_the_id_stays_when_interfaces_come_and_go(tmp_path: Path, facts: dict[str, str]) -> None:
    """A stick that was there first names the device for good: with a cable, without the stick, with Docker alone."""
    state, here = tmp_path / "state", tmp_path / "root"

    ids = [
        device_id("hardware", state, root=root(here, facts, *parts))
        for parts in ([STICK], [STICK, CABLE], [CABLE], [CABLE, WIRELESS], [DOCKER], [])
    ]

    assert ids == ["000f00000003"] * 6


def test_without_a_physical_interface_a_random_id_is_made_and_kept(tmp_path: Path) -> None:
    """In a container, or before a driver is loaded: also when an interface appears later."""
    state, here = tmp_path / "state", tmp_path / "root"
    made = device_id("hardware", state, root=root(here, VIRTUAL))

    assert int(made, 16) >> 40 & 0b11 == 0b10
    assert made not in network_adapters.addresses(here)
    assert device_id("hardware", tmp_path / "other", root=here) != made
    assert device_id("hardware", state, root=root(here)) == made
    assert device_id("hardware", state, root=root(here, CABLE)) == made


@pytest.mark.parametrize("first", [[CABLE, PI], [CABLE], [PI]], ids=["Pi", "no serial", "no interface"])
def test_a_cloned_card_is_another_device(
    tmp_path: Path, first: list[dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    """The clone takes the address of its own machine, and says so."""
    state = tmp_path / "state"
    made = device_id("hardware", state, root=root(tmp_path / "one", *first))
    serial = {"proc/device-tree/serial-number": "10000000ffffffff\0"}
    clone = root(tmp_path / "two", adapter("eth0", "b8:27:eb:00:00:99"), serial)

    assert device_id("hardware", state, root=clone) == "b827eb000099" != made
    assert device_id("hardware", state, root=clone) == "b827eb000099"
    assert caplog.text.count("was made on another machine (a cloned or swapped card?)") == 1


@pytest.mark.parametrize(
    ("owner", "legacy", "origin"),
    [
        (Owner("b827eb000002", Machine({"mac:b827eb000001"})), "", "wlan0"),
        (Owner("0242ac000001", Machine({"mac:b827eb000001"})), "", "docker0"),
        (Owner("000f00000003", Machine({"mac:b827eb000001", "mac:000f00000003"})), "", "earlier"),
        (Owner("02aabbccddee", Machine({"mac:b827eb000001"})), "02aabbccddee mac:b827eb000001", RANDOM),
    ],
    ids=["wireless", "bridge", "unplugged since", "random"],
)
def test_an_update_keeps_the_id_that_an_earlier_version_chose(
    tmp_path: Path, owner: Owner, legacy: str, origin: str
) -> None:
    """So what waits in its outbox is sent, whatever the new rules would choose; and for good."""
    state, here = tmp_path / "state", root(tmp_path / "root", CABLE, WIRELESS, DOCKER)
    outbox = open_outbox(state, owner.device, owner.machine)
    put(outbox, 0)
    outbox.close()
    if legacy:
        (state / "device-id").write_text(f"{legacy}\n")

    assert find("hardware", state, here, outbox=owner_of(state)) == (owner.device, origin)
    assert device_id("hardware", state, here, outbox=owner_of(state)) == owner.device
    kept = device_id("hardware", state, root(here, CABLE))
    assert open_outbox(state, kept, machine(here)).waiting()[0] == 1
    assert kept_aside(state / "outbox.sqlite") == []


@pytest.mark.parametrize(
    "owner",
    [
        Owner("123456789abc", Machine({"mac:b827eb000001"})),
        Owner("b827eb000002", Machine({"mac:b827eb000099"})),
    ],
    ids=["given", "another machine"],
)
def test_the_id_of_a_setting_or_of_another_machine_is_not_taken_over(tmp_path: Path, owner: Owner) -> None:
    """Who changes `identity` back to `hardware`, or clones a card, wants another id."""
    here = root(tmp_path / "root", CABLE, WIRELESS)

    assert device_id("hardware", tmp_path / "state", here, outbox=owner) == "b827eb000001"


def test_random_and_hardware_are_kept_apart(tmp_path: Path) -> None:
    """Who wants a random id gets one, and the same again after a try of the other."""
    state, here = tmp_path / "state", root(tmp_path / "root", CABLE)
    made = device_id("random", state, root=here)

    assert device_id("hardware", state, root=here) == "b827eb000001" != made
    assert device_id("random", state, root=here) == made


def test_finding_an_id_writes_nothing(tmp_path: Path) -> None:
    """The doctor may ask before the first start."""
    here = root(tmp_path / "root", CABLE)

    assert find("hardware", tmp_path / "state", root=here) == ("b827eb000001", "eth0")
    assert find("hardware", tmp_path / "state", root=root(tmp_path / "none")) is None
    assert find("random", tmp_path / "state", root=here) is None
    assert not (tmp_path / "state").exists()


def test_an_address_that_cannot_be_kept_stops_no_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On a read-only disk the device goes on, and warns that its id may change."""
    (tmp_path / "file").touch()

    assert device_id("hardware", tmp_path / "file", root=root(tmp_path / "root", CABLE)) == "b827eb000001"
    assert "another network interface may change it" in caplog.text


def test_this_machine_has_one_id(tmp_path: Path) -> None:
    """On the real machine, twice."""
    made = device_id("hardware", tmp_path)

    assert device_id("hardware", tmp_path) == made
    assert (tmp_path / "hardware-id").read_text().split()[0] == made
