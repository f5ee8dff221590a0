"""Topics and device ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import topics


@pytest.mark.parametrize("kind", topics.FROM_DEVICE)
def test_parse_undoes_topic(kind: topics.FromDevice) -> None:
    """A topic that is built is split into what it was built from."""
    assert topics.parse(topics.topic("aabbccddeeff", kind)) == ("aabbccddeeff", kind)


@pytest.mark.parametrize(
    "foreign",
    [
        "moodwire/v1/AABBCCDDEEFF/reading",
        "moodwire/v1/aabbccddeef/reading",
        "moodwire/v1/aabbccddeeff",
        "moodwire/v1/aabbccddeeff/stored",
        "moodwire/v1/aabbccddeeff/reading/more",
        "moodwire/v2/aabbccddeeff/reading",
        "x/moodwire/v1/aabbccddeeff/reading",
        "",
    ],
)
def test_foreign_topics_are_refused_by_name(foreign: str) -> None:
    """A topic that no device of ours publishes on is refused with a sentence that quotes it."""
    with pytest.raises(ValueError, match="topic") as refused:
        topics.parse(foreign)

    assert repr(foreign) in str(refused.value)


@given(st.text(max_size=40))
def test_parse_never_fails_otherwise(name: str) -> None:
    """Whatever the topic, it is split or refused with ValueError."""
    try:
        device, kind = topics.parse(name)
    except ValueError:
        return

    assert topics.topic(device, kind) == name


@pytest.mark.parametrize("mac", ["AA:BB:CC:dd:ee:ff", "aa-bb-cc-dd-ee-ff", "aabbccddeeff"])
def test_every_common_form_of_a_mac_address_is_understood(mac: str) -> None:
    """Colons, hyphens or neither, capitals or not: the same device."""
    assert topics.device_id(mac) == "aabbccddeeff"
    assert topics.mac_address(topics.device_id(mac)) == "aa:bb:cc:dd:ee:ff"


@pytest.mark.parametrize("mac", ["", "aa:bb:cc:dd:ee", "aa:bb:cc:dd:ee:fg", "aa:bb-cc:dd:ee:ff", "aabbccddeeff0"])
def test_what_is_no_mac_address_is_refused(mac: str) -> None:
    """Anything else is refused with a sentence that says what would be right."""
    with pytest.raises(ValueError, match="aa:bb:cc:dd:ee:ff"):
        topics.device_id(mac)
