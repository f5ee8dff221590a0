"""MQTT clients: the broker's URL as people write it, whom TLS trusts, and what a client shows."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest
from certificates import Authority
from patience import REPLY_S

from common.mqtt import client, parse_url, tls_context


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
    "url",
    [
        "",
        "broker:1883",
        "http://broker",
        "mqtt://",
        "mqtt://broker:port",
        "mqtt://u:p@broker",
        "mqtt://a..b",
        "mqtt://.local",
        "mqtt://broker:0",
    ],
)
def test_what_is_no_broker_url_is_refused(url: str) -> None:
    """Anything else is refused with a sentence that begins with the setting's name."""
    with pytest.raises(ValueError, match=r"^mqtt_url "):
        parse_url(url)


def test_an_ipv6_broker_is_named_in_brackets() -> None:
    """Errors and log lines show an address that can be told from its port."""
    assert str(parse_url("mqtt://[::1]:1883")) == "the broker at [::1]:1883"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"ca_file": "/no/such.pem"}, r"^mqtt_ca_file '/no/such.pem' cannot be used: .*No such file"),
        ({"ca_file": __file__}, r"^mqtt_ca_file .* cannot be used: "),
        (
            {"ca_file": "", "cert_file": "/no/such.pem", "key_file": "/no/such.key"},
            r"^mqtt_cert_file '/no/such.pem' with mqtt_key_file '/no/such.key' cannot be used: ",
        ),
    ],
)
def test_a_file_that_cannot_be_used_names_its_setting(files: dict[str, str], sentence: str) -> None:
    """A missing file or one that holds no certificate is refused with the setting's name and value."""
    with pytest.raises(ValueError, match=sentence):
        tls_context(**files)


def test_the_key_must_belong_to_the_certificate(tmp_path: Path) -> None:
    """A certificate with the key of another one is refused with both settings' names."""
    authority = Authority(tmp_path, "authority")
    certificate, _ = authority.issue("one")
    _, key = authority.issue("other")

    with pytest.raises(ValueError, match=r"^mqtt_cert_file .*one.pem' with mqtt_key_file .*other.key' cannot be used"):
        tls_context("", str(certificate), str(key))


def test_only_the_given_authority_is_trusted(tmp_path: Path) -> None:
    """With a file of its own nothing else is trusted; certificates and host names are always checked."""
    authority = Authority(tmp_path, "authority")

    own = tls_context(str(authority.certificate))

    assert [dict(part[0] for part in found["subject"]) for found in own.get_ca_certs()] == [{"commonName": "authority"}]
    for context in (own, tls_context("")):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


@contextmanager
def listening() -> Iterator[tuple[int, "Queue[bytes]"]]:
    """Accept one connection on a port, and put the first packet that comes into a queue."""
    packets: Queue[bytes] = Queue()

    def accept() -> None:
        connection, _ = server.accept()
        with connection:
            packets.put(connection.recv(4_096))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], packets
        thread.join(REPLY_S)


@pytest.mark.parametrize(
    ("username", "password", "sent", "flags"),
    [("", "", b"", 0x02), ("kitchen", "", b"\0\7kitchen", 0x82), ("kitchen", "secret", b"\0\7kitchen\0\6secret", 0xC2)],
)
def test_a_client_shows_its_credentials(username: str, password: str, sent: bytes, flags: int) -> None:
    """CONNECT carries the client id, and user name and password only where they are set (MQTT 3.1.1, 3.1)."""
    with listening() as (port, packets):
        made = client(username, password, None, client_id="me")
        made.connect("127.0.0.1", port)
        packet = packets.get(timeout=REPLY_S)

    assert packet[4:8] == b"MQTT"
    assert packet[9] == flags
    assert packet.endswith(b"\0\2me" + sent)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_client_with_tls_sends_no_password_in_the_clear() -> None:
    """The first bytes are a TLS handshake, not CONNECT."""
    with listening() as (port, packets):
        made = client("kitchen", "secret", tls_context(""), client_id="me")
        with pytest.raises(OSError):  # noqa: PT011 - nobody answers; paho leaves the socket for Python to close
            made.connect("127.0.0.1", port)
        packet = packets.get(timeout=REPLY_S)

    assert packet[0] == 0x16, "a handshake record (RFC 8446, 5.1)"
    assert b"secret" not in packet
