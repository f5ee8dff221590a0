"""Where a broker listens, as people write it."""

import pytest

from common.mqtt import parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://pi.local", ("pi.local", 1883, False)),
        ("mqtts://broker:9000", ("broker", 9000, True)),
        ("mqtts://[::1]", ("::1", 8883, True)),
    ],
)
def test_urls_are_split(url: str, expected: tuple[str, int, bool]) -> None:
    """Host, port and TLS are found; the port has its usual default."""
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    "url", ["", "broker:1883", "http://broker", "mqtt://", "mqtt://broker:port", "mqtt://u:p@broker"]
)
def test_what_is_no_broker_url_is_refused(url: str) -> None:
    """Anything else is refused with a sentence that begins with the setting's name."""
    with pytest.raises(ValueError, match=r"^mqtt_url "):
        parse_url(url)
