"""The doctor's checks of broker and server, with each fault provoked."""

import socket
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from brokers import ACCOUNTS, DEVICE, OTHER_DEVICE, running_broker
from diagnoses import Hospital, examine
from patience import REPLY_S

from broker import topics
from broker.messages import Heard, Stored, decode, encode

pytestmark = pytest.mark.usefixtures("a_device")


@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")  # paho leaves a failed handshake's socket behind
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl:pytest.PytestUnraisableExceptionWarning")
def test_faults_of_the_broker_are_told_apart(
    hospital: Hospital, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """No broker, a refused login, no TLS, a mute port and a missing CA file have each their own sentence."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = {
            "away": examine(capsys),
            "login": examine(capsys, "--mqtt-url", hospital.broker.url, "--mqtt-password", "wrong"),
            "tls": examine(capsys, "--mqtt-url", hospital.broker.url.replace("mqtt://", "mqtts://")),
            "mute": examine(capsys, "--mqtt-url", f"mqtt://127.0.0.1:{mute.getsockname()[1]}"),
            "ca": examine(capsys, "--mqtt-url", "mqtts://127.0.0.1", "--mqtt-ca-file", "/no/such/file"),
        }

    words = {
        "away": "Connection refused",
        "login": "mqtt_password",
        "tls": "TLS",
        "mute": "says nothing",
        "ca": "/no/such/file",
    }
    for name, diagnosis in found.items():
        assert diagnosis.code == 1
        assert (diagnosis.results["broker"], diagnosis.results["server"]) == ("fail", "skip")
        assert words[name] in diagnosis.told["broker"]


def say(server: mqtt.Client, status: bytes) -> None:
    """Publish a status of the server, and wait until the broker has it."""
    server.publish(topics.SERVER_STATUS, status, qos=1, retain=True).wait_for_publish(REPLY_S)


@pytest.mark.slow
def test_a_server_that_is_away_is_told_from_one_that_never_was(
    tmp_path: Path, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that was never there, one that is offline and one that does not answer have each their own sentence."""
    with running_broker(tmp_path / "broker") as broker:
        never = examine(capsys, "--mqtt-url", broker.url)
        nobody = examine(capsys, "--mqtt-url", broker.url, "--confirm", "broker")
        with broker.client("server") as server:
            server.publish(topics.SERVER_STATUS, b'{"v":1,"state":"offline"}', qos=1, retain=True).wait_for_publish(
                REPLY_S
            )
            away = examine(capsys, "--mqtt-url", broker.url)
            server.publish(topics.SERVER_STATUS, b'{"v":1,"state":"online"}', qos=1, retain=True).wait_for_publish(
                REPLY_S
            )
            mute = examine(capsys, "--mqtt-url", broker.url)

    assert [found.results["server"] for found in (never, nobody, away, mute)] == ["fail", "skip", "fail", "fail"]
    assert "knows of no server" in never.told["server"]
    assert "the server is offline" in away.told["server"]
    assert "has not answered" in mute.told["server"]


@pytest.mark.parametrize("payload", [b"nonsense", b'{"v":2,"state":"online"}', b'{"v":1,"state":"busy"}'])
def test_a_malformed_status_of_the_server_is_told(
    tmp_path: Path, impatient: None, capsys: pytest.CaptureFixture[str], payload: bytes
) -> None:
    """What is retained in its place, and that records wait for it."""
    with running_broker(tmp_path / "broker") as broker, broker.client("server") as server:
        server.publish(topics.SERVER_STATUS, payload, qos=1, retain=True).wait_for_publish(REPLY_S)
        found = examine(capsys, "--mqtt-url", broker.url)

    assert found.results["server"] == "fail"
    assert "moodwire/v1/server/status holds no status of a server" in found.told["server"]
    assert "start `moodwire server ingest`, which publishes it again" in found.told["server"]


def test_a_status_that_the_broker_withholds_is_told_from_no_server(
    tmp_path: Path, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server answers a record, and yet the device waits: its account may not read the server's status."""
    with running_broker(tmp_path / "broker") as broker:
        broker.stop()
        rules = tmp_path / "broker" / "acl"
        rules.write_text(rules.read_text().replace("pattern read moodwire/v1/server/status\n", ""))
        broker.start()

        def answer(_: str, payload: bytes) -> None:
            record = decode(payload, Heard)
            server.publish(topics.topic(DEVICE, "stored"), encode(Stored(boot=record.boot, expired=((0, 0),))))

        with broker.client("server", answer) as server:
            server.publish(topics.SERVER_STATUS, b'{"v":1,"state":"online"}', qos=1, retain=True).wait_for_publish(
                REPLY_S
            )
            server.subscribe(topics.topic(DEVICE, "heard"), 1)
            found = examine(capsys, "--mqtt-url", broker.url)

    assert found.results["server"] == "fail"
    assert "the broker does not tell this account of it" in found.told["server"]
    assert "let the account read moodwire/v1/server/status" in found.told["server"]


def test_an_account_that_is_not_the_device_gets_no_answer(
    hospital: Hospital, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The broker accepts it, but not what it publishes under another id, and the doctor says so."""
    login = ["--mqtt-username", OTHER_DEVICE, "--mqtt-password", ACCOUNTS[OTHER_DEVICE]]

    found = examine(capsys, "--mqtt-url", hospital.broker.url, *login)

    assert found.results["server"] == "fail"
    assert "set mqtt_username to the device id" in found.told["server"]
