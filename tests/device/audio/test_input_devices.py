"""Which input an index, name or id means, and which one is found again."""

import pytest
from alsa_tree import AlsaTree

from device.audio.alsa_cards import AlsaCard
from device.audio.input_devices import InputDevice, choose, find_again, format_table, input_devices
from device.audio.source import SourceError


def offered(tree: AlsaTree, *names: str) -> list[InputDevice]:
    """Return what PortAudio would offer under these names; those that begin with `-` are outputs."""
    devices = [
        {"name": name, "max_input_channels": 0 if name.startswith("-") else 1, "default_samplerate": 48_000.0}
        for name in names
    ]
    return input_devices(devices, tree.cards())


USB = "USB PnP Sound Device: Audio (hw:{},0)"


def test_the_table_for_people_names_every_id(tree: AlsaTree) -> None:
    """Index, name, channels and rate come first, then the ids; outputs are not listed."""
    tree.plug_usb(1, "Device", "1-1.2", serial="A1B2")

    assert format_table(offered(tree, "-HDMI (hw:0,0)", USB.format(1), "pulse")).splitlines() == [
        "  1  USB PnP Sound Device: Audio (hw:1,0)  (1 channel, 48000 Hz)",
        "     usb-id:0d8c:0014:A1B2  usb-path:1-1.2  alsa:Device",
        "  2  pulse  (1 channel, 48000 Hz)",
        "     made by software: choose it by its name",
    ]
    assert format_table([]) == "no microphone found"


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("", 3),
        ("1", 1),
        ("samson", 1),
        ("pulse", 3),
        ("usb-path:1-1.2", 0),
        ("usb-id:17a0:0305:X9", 1),
        ("usb-id:17a0:0305", 1),
        ("alsa:Device_1", 4),
    ],
)
def test_a_microphone_is_found_by_index_name_or_stable_id(tree: AlsaTree, wanted: str, index: int) -> None:
    """An index, a unique part of a name, a whole name or an id chooses; nothing means the default."""
    tree.plug_usb(1, "Device", "1-1.2")
    tree.plug_usb(2, "Go", "1-1.3", "17a0:0305", "X9")
    tree.plug_usb(3, "Device_1", "1-1.4")
    found = offered(tree, USB.format(1), "Samson Go (hw:2,0)", "-Speaker", "pulse", USB.format(3), "pulse monitor")

    assert choose(wanted, found, default=3).index == index


@pytest.mark.parametrize("wanted", ["USB", "speaker", "2", "9", "nothing", "usb-id:0d8c:0014", "usb-path:1-1", "alsa:"])
def test_an_ambiguous_or_unknown_microphone_is_never_guessed(tree: AlsaTree, wanted: str) -> None:
    """Several matches, an output, part of an id, or no match are refused with the list of what there is."""
    tree.plug_usb(1, "Device", "1-1.2")
    tree.plug_usb(3, "Device_1", "1-1.4")

    with pytest.raises(SourceError, match=r"matches \w+ of: 0: USB.*\(usb-path:1-1.2\); 1: Samson"):
        choose(wanted, offered(tree, USB.format(1), "Samson Go", "-Speaker", USB.format(3)), default=0)


def test_an_id_of_a_card_with_several_inputs_means_its_first(tree: AlsaTree) -> None:
    """The others have names and indexes."""
    tree.plug_usb(1, "Array", "1-1.2")
    found = offered(tree, "Array: digital (hw:1,1)", "Array: analogue (hw:1,0)")

    assert choose("alsa:Array", found, default=-1).name == "Array: analogue (hw:1,0)"


def test_without_any_microphone_the_error_says_what_to_do() -> None:
    """Without an input it suggests --clips, without a default one --mic."""
    with pytest.raises(SourceError, match="--clips"):
        choose("", [], default=-1)
    with pytest.raises(SourceError, match=r"choose one with --mic: 0: loopback"):
        choose("", [InputDevice(0, "loopback", 1, 48_000, None, 0)], default=-1)


def test_a_microphone_with_a_serial_number_is_found_again_wherever_it_is(tree: AlsaTree) -> None:
    """Another port, another card number, another index: it is the same, and its twin is not."""
    tree.plug_usb(1, "Device", "1-1.2", serial="A")
    known = choose("0", offered(tree, USB.format(1)), default=-1)
    tree.unplug(1)
    tree.plug_usb(1, "Device", "1-1.4", serial="B")
    tree.plug_usb(2, "Device_1", "1-1.3", serial="A")

    assert find_again(known, offered(tree, USB.format(1), USB.format(2))).index == 1


def test_a_microphone_without_a_serial_number_is_found_again_at_its_port_only(tree: AlsaTree) -> None:
    """Another of the same model at another port, or another model at its port, is not taken instead."""
    tree.plug_usb(1, "Device", "1-1.2")
    known = choose("", offered(tree, USB.format(1)), default=0)
    tree.unplug(1)
    tree.plug_usb(2, "Device", "1-1.3")
    with pytest.raises(SourceError, match=r"\(usb-path:1-1.2\) is gone; present: 0: USB"):
        find_again(known, offered(tree, USB.format(2)))

    other = AlsaCard(1, "Device", "1-1.2", "17a0:0305")
    assert not known.is_same(InputDevice(0, USB.format(1), 1, 48_000, other, 0))

    tree.plug_usb(3, "Device_1", "1-1.2")
    assert find_again(known, offered(tree, USB.format(2), USB.format(3))).index == 1


def test_twins_with_one_serial_number_are_told_apart_by_their_ports(tree: AlsaTree) -> None:
    """Some makers give every microphone the same serial number."""
    tree.plug_usb(1, "Device", "1-1.2", serial="123456")
    tree.plug_usb(2, "Device_1", "1-1.3", serial="123456")
    found = offered(tree, USB.format(1), USB.format(2))

    assert find_again(found[1], found) == found[1]
    with pytest.raises(SourceError, match="several"):
        choose("usb-id:0d8c:0014:123456", found, default=-1)


def test_an_input_that_is_not_on_usb_is_found_again_by_its_alsa_id_or_name(tree: AlsaTree) -> None:
    """A soldered card keeps its id when its number changes; an input made by software keeps its name."""
    soldered, software = AlsaCard(0, "Mic"), InputDevice(7, "pulse", 1, 48_000, None, 0)
    tree.solder(3, "Mic")
    found = offered(tree, "pulse", "Mic (hw:3,0)", "Mic")

    assert find_again(InputDevice(5, "Mic (hw:0,0)", 1, 48_000, soldered, 0), found).index == 1
    assert find_again(software, found).index == 0
