"""Stable ids of sound cards, from files like the kernel's."""

from pathlib import Path

from alsa_tree import AlsaTree

from device.audio.alsa_cards import read_cards


def test_a_card_is_known_by_its_serial_its_port_and_its_alsa_id(tree: AlsaTree) -> None:
    """The ids come from the USB device that the card belongs to, not from the hub above; a blank serial is none."""
    tree.plug_usb(1, "Device", "1-1.2", "0d8c:0014", "A1B2")
    tree.plug_usb(2, "Device_1", "1-1.3", "0d8c:0014", "  ")
    tree.solder(0, "Headphones")

    found = tree.cards()

    assert found[1].ids == ("usb-id:0d8c:0014:A1B2", "usb-path:1-1.2", "alsa:Device")
    assert found[2].ids == ("usb-path:1-1.3", "usb-id:0d8c:0014", "alsa:Device_1")
    assert found[0].ids == ("alsa:Headphones",)


def test_a_machine_without_alsa_has_no_cards(tmp_path: Path) -> None:
    """Where the kernel has no such folders, nothing is found and nothing fails."""
    assert read_cards(tmp_path / "proc", tmp_path / "class") == {}
