"""Identity of device and machine: a cloned or moved card is noticed."""

from pathlib import Path

import pytest

from device.system.identity import Machine, device_id, machine, same_machine

PI = {"proc/device-tree/serial-number": "10000000A1B2C3D4\0"}
PC = {"sys/class/dmi/id/product_uuid": "4C4C4544-0042-3510-8051-B4C04F4A4D32\n"}


def adapter(name: str, address: str, kind: str = "0", *, real: bool = True) -> dict[str, str]:
    """Return the files of a network adapter."""
    folder = f"sys/class/net/{name}"
    files = {f"{folder}/address": f"{address}\n", f"{folder}/addr_assign_type": f"{kind}\n"}
    return files | ({f"{folder}/device/uevent": ""} if real else {})


def root(folder: Path, files: dict[str, str]) -> Path:
    """Return a folder with what a kernel would show."""
    for name, text in ({"sys/class/net/lo/address": "00:00:00:00:00:00\n"} | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


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
