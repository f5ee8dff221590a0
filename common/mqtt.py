"""MQTT clients: the broker's URL, TLS, and a paho client that has both."""

import ssl
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from common import addresses, urls

VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}
"""Versions of MQTT by their names in settings."""

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Endpoint(NamedTuple):
    """Address of a broker."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        """Return the broker's name in sentences."""
        return f"the broker at {addresses.join(self.host, self.port)}"


def parse_url(url: str) -> Endpoint:
    """Split `mqtt://host:port` or `mqtts://host:port`; the default port is 1883, with TLS 8883.

    Raises:
        ValueError: it is no such URL, or it has a user name or password, which have settings of their own.
    """
    todo = "use mqtt://host:1883 or, with TLS, mqtts://host:8883"
    try:
        parts = urls.split(url.strip())
        addresses.check_host(parts.hostname or "")
    except ValueError as error:
        raise ValueError(f"mqtt_url {urls.readable(url)!r} is not a URL: {error}; {todo}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.port == 0:
        raise ValueError(f"mqtt_url {urls.readable(url)!r} is not the URL of a broker; {todo}")
    if parts.username or parts.password:
        raise ValueError("mqtt_url has a user name or password in it; set mqtt_username and mqtt_password instead")
    return Endpoint(parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme], tls=parts.scheme == "mqtts")


def tls_context(ca_file: str, cert_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities, or only the given one.

    Args:
        ca_file: Certificate of the authority to trust; empty for the system's.
        cert_file: The client's own certificate, for mutual TLS; empty for none.
        key_file: Key of the client's certificate.

    Raises:
        ValueError: a file cannot be used; the sentence names the setting.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"mqtt_ca_file {ca_file!r} cannot be used: {error}") from error
    if cert_file:
        try:
            context.load_cert_chain(cert_file, key_file)
        except OSError as error:
            raise ValueError(
                f"mqtt_cert_file {cert_file!r} with mqtt_key_file {key_file!r} cannot be used: {error}"
            ) from error
    return context


def client(
    username: str,
    password: str,
    tls: ssl.SSLContext | None,
    *,
    client_id: str = "",
    **options: Any,
) -> mqtt.Client:
    """Return a paho client that has credentials and TLS and is not connected.

    Args:
        username: Empty for no credentials.
        password: Empty for none.
        tls: None for a connection without TLS.
        client_id: Empty to let the broker choose one.
        options: More arguments of `paho.mqtt.client.Client`.
    """
    made = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, **options)
    if username:
        made.username_pw_set(username, password or None)
    if tls is not None:
        made.tls_set_context(tls)
    return made
