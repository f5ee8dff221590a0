"""The device's connection to a real broker: reconnects, refusals, TLS, certificates of devices."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, RunningBroker, Tls, running_broker
from certificates import Authority
from services import wait_until
from sessions import STATUS, ignore, put, running_session, serving

from broker import topics
from common.backoff import Backoff
from device.delivery import connection
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


@pytest.mark.slow
def test_a_name_that_is_known_only_later_is_found_then(
    broker: RunningBroker, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At boot the network may not know the broker's name yet; each try asks for it anew."""
    real, known = socket.getaddrinfo, threading.Event()
    asked: list[str] = []

    def look_up(host: str, *words: Any, **named: Any) -> Any:
        if host != "broker.local":
            return real(host, *words, **named)
        asked.append(host)
        if not known.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *words, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with serving(broker) as server, running_session(broker, outbox, mqtt_url=f"mqtt://broker.local:{broker.port}"):
        wait_until(lambda: len(asked) >= 2, "the name is asked for again")
        known.set()
        wait_until(server.states, "the device is online")


def complaint(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture, **changes: object) -> str:
    """Return what a device says that does not get through."""
    with running_session(broker, outbox, **changes):
        wait_until(lambda: "trying again" in caplog.text, "the device says that it does not get through")
    (line,) = [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]
    assert not any("connected" in record.getMessage() for record in caplog.records)
    return line


def lost_and_back(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the device has logged about its connection."""
    lines = [record.getMessage() for record in caplog.records if record.name == connection.__name__]
    return ["lost" if "trying again" in line else "back" for line in lines if "connected" in line or "trying" in line]


def test_one_line_when_lost_and_one_when_back(
    broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the device tries while the broker is away, the log has one line for each change."""
    caplog.set_level("INFO")
    tries: list[float] = []

    def next_s(backoff: Backoff) -> float:
        tries.append(backoff._span_s)
        next_span(backoff)
        return 0.05

    next_span = Backoff.next_s
    monkeypatch.setattr(Backoff, "next_s", next_s)
    with running_session(broker, outbox):
        with serving(broker) as server:
            wait_until(server.states, "the device is online")
        broker.kill()
        wait_until(lambda: len(tries) > 8, "the device tries again and again")
        broker.start()
        with serving(broker) as server:
            wait_until(lambda: server.states()[-1:] == [("online", STATUS.connection + len(tries) + 1)], "it is back")

    assert lost_and_back(caplog) == ["back", "lost", "back"]
    assert tries[:8] == [5, 10, 20, 40, 60, 60, 60, 60], "the longest wait doubles up to a minute"


def test_a_first_connection_that_fails_is_said_with_the_reason(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that is not there is named with what the system says about it."""
    session = Session(DeviceSettings(mqtt_url="mqtt://127.0.0.1:1"), DEVICE, STATUS, outbox, ignore)
    session.start()
    try:
        wait_until(lambda: "the broker at 127.0.0.1:1 cannot be reached: Connection refused" in caplog.text, "it is")
    finally:
        session.stop()


def test_a_refused_login_is_said_once(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password is named as the reason, and trying again is quiet."""
    session = Session(DeviceSettings(mqtt_url=broker.url, mqtt_password="wrong"), DEVICE, STATUS, outbox, ignore)
    session.start()
    try:
        wait_until(lambda: "refuses this device: Not authorized" in caplog.text, "the reason is logged")
    finally:
        session.stop()

    assert caplog.text.count("trying again") == 1


def test_mqtt_5_tells_what_is_refused(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """A publication that the access rules forbid is named once, with the reason, and is no confirmation."""
    with running_session(broker, outbox, mqtt_version="5") as session:
        for _ in range(2):
            wait_until(lambda: session._connected, "the device is connected")
            session._publish("moodwire/v1/elsewhere/reading", b"x")
            wait_until(lambda: not session._send_window._messages, "the broker has answered")

    sentence = "does not let this device publish on moodwire/v1/elsewhere/reading: Not authorized"
    assert caplog.text.count(sentence) == 1


def test_what_a_device_may_not_hear_is_said(tmp_path: Path, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """An account that may not read the device's topics is told which, so that nobody wonders why nothing comes."""
    other = {"mqtt_username": "homeassistant", "mqtt_password": ACCOUNTS["homeassistant"]}
    with running_broker(tmp_path / "broker", "amqtt") as broker, running_session(broker, outbox, **other):
        wanted = f"does not let this device subscribe to {topics.topic(DEVICE, 'stored')}"
        wait_until(lambda: wanted in caplog.text, "the device says so")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_broker_that_is_slow_with_a_handshake_is_waited_for(
    secure: RunningBroker, outbox: Outbox, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """With thousands who come at once a handshake takes long; who gives it up lets the broker work in vain."""
    caplog.set_level(logging.INFO)
    secure.process.send_signal(signal.SIGSTOP)
    later = threading.Timer(6.0, secure.process.send_signal, [signal.SIGCONT])  # paho alone gives up after 5 s
    later.start()
    with running_session(secure, outbox, mqtt_ca_file=str(authority.certificate)):
        wait_until(lambda: "connected" in caplog.text, "it is connected")
    later.join()
    assert "cannot be reached" not in caplog.text


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
    assert "set mqtt_ca_file to the authority that signed it" in line


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
    assert "use mqtts:// if it has TLS" in complaint(secure, outbox, caplog, mqtt_url=f"mqtt://127.0.0.1:{secure.port}")


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
