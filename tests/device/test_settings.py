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
