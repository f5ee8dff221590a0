"""Where the broker is and how to reach it with TLS, as the server's settings say."""

import ssl

from common import mqtt
from server.errors import UnusableError
from server.settings import ServerSettings


def endpoint(settings: ServerSettings) -> mqtt.Endpoint:
    """Return the broker's address.

    Raises:
        UnusableError: `mqtt_url` is not the URL of a broker.
    """
    try:
        return mqtt.parse_url(settings.mqtt_url)
    except ValueError as error:
        raise UnusableError(str(error)) from error


def tls(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return the TLS context for the broker; None where `mqtt_url` asks for no TLS.

    Raises:
        UnusableError: `mqtt_url` or `mqtt_ca_file` cannot be used.
    """
    if not endpoint(settings).tls:
        return None
    try:
        return mqtt.tls_context(settings.mqtt_ca_file)
    except ValueError as error:
        raise UnusableError(str(error)) from error
