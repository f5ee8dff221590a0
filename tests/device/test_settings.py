"""Settings of a device that types alone cannot check."""

import pytest

from device.settings import DeviceSettings


@pytest.mark.parametrize("url", ["", "http://server.local:8050/", "https://[fe80::1]/mood?room=1", "http://127.0.0.1"])
def test_the_dashboard_has_a_url_or_none(url: str) -> None:
    """Home Assistant links to it."""
    assert DeviceSettings(name="Kitchen", dashboard_url=url).dashboard_url == url


@pytest.mark.parametrize(
    "url", ["server.local:8050", "ftp://server.local/", "http://", "http://server local/", "http://server.local:x/"]
)
def test_a_dashboard_that_home_assistant_cannot_link_to_is_refused(url: str) -> None:
    """It would refuse the whole device because of the link."""
    with pytest.raises(ValueError, match=r"dashboard_url is .*; give an http:// or https:// URL with a host"):
        DeviceSettings(name="Kitchen", dashboard_url=url)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "name '' has 0 characters: use 1 to 64"),
        ("  ", "name '' has 0 characters: use 1 to 64"),
        ("x" * 65, "has 65 characters: use 1 to 64"),
        ("a\x00b", r"name 'a\x00b' has the invisible character U+0000: leave it out"),
        ("a\nb", r"name 'a\nb' has the invisible character U+000A: leave it out"),
        ("a\u202eb", r"name 'a\u202eb' has the invisible character U+202E: leave it out"),
        ("a\u200bb", r"name 'a\u200bb' has the invisible character U+200B: leave it out"),
        ("a\ufffeb", r"name 'a\ufffeb' has the invisible character U+FFFE: leave it out"),
        ("a\ud800b", r"name 'a\ud800b' has the invisible character U+D800: leave it out"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused(name: str, sentence: str) -> None:
    """The sentence names the character by its code, and does not print it."""
    with pytest.raises(ValueError, match="name ") as refused:
        DeviceSettings(name=name)

    assert sentence in str(refused.value)


def test_a_name_is_kept_without_needless_spaces() -> None:
    """Spaces around a name, and several in a row, are not part of it."""
    assert DeviceSettings(name="  K\u00fcche \u00a0 2 ").name == "K\u00fcche 2"
