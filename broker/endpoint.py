"""Where a broker listens, as people write it."""

from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Endpoint(NamedTuple):
    """Address of a broker."""

    host: str
    port: int
    tls: bool


def parse(url: str) -> Endpoint:
    """Split `mqtt://host:port` or `mqtts://host:port`; without a port it is 1883 or 8883.

    Raises:
        ValueError: it is no such URL, or it carries a password, which belongs into its own setting.
    """
    right = "mqtt://host:1883 or, with TLS, mqtts://host:8883 is right"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"mqtt_url {url!r} is not a URL ({error}); {right}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"mqtt_url {url!r} is not the URL of a broker; {right}")
    if parts.username or parts.password:
        raise ValueError("mqtt_url carries a user name or password; set mqtt_username and mqtt_password instead")
    return Endpoint(parts.hostname, port or _DEFAULT_PORTS[parts.scheme], tls=parts.scheme == "mqtts")
