"""The device's connection with TLS to a real Mosquitto: trust, passwords, access rules, certificates of devices."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, RunningBroker, Tls, running_broker
from certificates import Authority
from outboxes import open_outbox
from services import wait_until
from sessions import STATUS, ignore, put, running_session, serving

from broker import topics
from device.delivery.outbox import Outbox
from device.delivery.session import Session
from device.settings import DeviceSettings

LEFT_OPEN = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
"""paho leaves it to Python to close a socket whose handshake has failed, which Python does, and warns."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the broker's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"), "Authority of the tests")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """Return an empty outbox."""
    return open_outbox(tmp_path)


def tls(authority: Authority, *, mutual: bool) -> Tls:
    """Return a broker's certificate, and one for its clients if it wants them."""
    certificate, key = authority.issue("broker")
    return Tls(authority.certificate, certificate, key, authority.issue("client") if mutual else None)


@pytest.fixture
def secure(tmp_path: Path, authority: Authority) -> Iterator[RunningBroker]:
    """Run Mosquitto with TLS."""
    with running_broker(tmp_path / "broker", tls=tls(authority, mutual=False)) as broker:
        yield broker


@pytest.fixture
def mutual(tmp_path: Path, authority: Authority) -> Iterator[RunningBroker]:
    """Run Mosquitto that wants certificates of its clients as well."""
    with running_broker(tmp_path / "broker", tls=tls(authority, mutual=True)) as broker:
        yield broker


def complaint(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture, **changes: object) -> str:
    """Return what a device says that does not get through."""
    with running_session(broker, outbox, **changes):
        wait_until(lambda: "trying again" in caplog.text, "the device says that it does not get through")
    (line,) = [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]
    assert not any("connected" in record.getMessage() for record in caplog.records)
    return line


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_readings_go_through_tls(secure: RunningBroker, outbox: Outbox, authority: Authority, version: str) -> None:
    """With the CA's file a device logs in, sends, and may publish under its own id only."""
    put(outbox, 0)
    with (
        serving(secure) as server,
        running_session(secure, outbox, mqtt_ca_file=str(authority.certificate), mqtt_version=version) as session,
    ):
        server.online()
        wait_until(lambda: server.numbers() == [0], "the reading arrives")
        session._connection.publish(topics.topic(OTHER_DEVICE, "reading"), b"foreign")
        put(outbox, 1)
        wait_until(lambda: 1 in server.numbers(), "the next reading arrives")

        assert not [topic for topic, _ in server.heard if OTHER_DEVICE in topic]


def test_a_device_shows_its_certificate(mutual: RunningBroker, outbox: Outbox, authority: Authority) -> None:
    """A broker that wants certificates lets a device in that has one."""
    certificate, key = authority.issue("device")
    files = {"mqtt_cert_file": str(certificate), "mqtt_key_file": str(key)}
    with serving(mutual) as server, running_session(mutual, outbox, mqtt_ca_file=str(authority.certificate), **files):
        wait_until(server.states, "the device is online")


def test_without_its_certificate_a_device_is_told_what_is_missing(
    mutual: RunningBroker, outbox: Outbox, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence names the setting."""
    assert "mqtt_cert_file" in complaint(mutual, outbox, caplog, mqtt_ca_file=str(authority.certificate))


@LEFT_OPEN
def test_a_certificate_of_somebody_else_is_not_trusted(
    secure: RunningBroker, outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker whose certificate another authority signed gets no password, and the sentence says what is wrong."""
    other = Authority(tmp_path / "other", "Somebody else")

    line = complaint(secure, outbox, caplog, mqtt_ca_file=str(other.certificate))

    assert "cannot be reached: its certificate is not trusted (" in line
    assert "mqtt_ca_file the authority that signed it" in line


@LEFT_OPEN
def test_the_name_in_the_certificate_must_be_the_brokers(
    secure: RunningBroker, outbox: Outbox, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A trusted certificate for another host does not count."""
    url = secure.url.replace("127.0.0.1", "localhost")

    assert "Hostname mismatch" in complaint(
        secure, outbox, caplog, mqtt_url=url, mqtt_ca_file=str(authority.certificate)
    )


def test_a_device_without_tls_is_told_to_use_it(
    secure: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Who speaks without TLS to a broker that has it learns the right scheme."""
    assert "it wants mqtts://" in complaint(secure, outbox, caplog, mqtt_url=f"mqtt://127.0.0.1:{secure.port}")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mqtt_ca_file": "/no/such.pem"}, "mqtt_ca_file '/no/such.pem' cannot be used"),
        ({"mqtt_ca_file": __file__}, "cannot be used"),
        ({"mqtt_cert_file": "/no/such.pem", "mqtt_key_file": "/no/such.key"}, "mqtt_cert_file '/no/such.pem'"),
        ({"mqtt_url": "mqtt://127.0.0.1", "mqtt_ca_file": __file__}, "has no TLS, but a certificate is set"),
    ],
)
def test_files_that_cannot_be_used_are_named(outbox: Outbox, changes: dict[str, str], sentence: str) -> None:
    """A missing or wrong file ends the start with a sentence, not a connection without it."""
    settings = DeviceSettings(**{"mqtt_url": "mqtts://127.0.0.1", "mqtt_password": ACCOUNTS[DEVICE]} | changes)

    with pytest.raises(ValueError, match=sentence):
        Session(settings, DEVICE, STATUS, outbox, ignore)
