"""A device's view of the server: what it sends by it, what it logs, and what else is malformed on its topics."""

import time
from pathlib import Path

import pytest
from brokers import DEVICE, RunningBroker
from patience import REPLY_S
from services import wait_until
from sessions import STATUS, put, running_session, serving

from broker import topics
from broker.messages import Generation, Stored, encode
from device.delivery import session as module
from device.delivery.outbox import Outbox

MALFORMED = [b"nonsense", b"[]", b'{"v":2,"state":"online"}', b'{"v":1,"state":"busy"}']


def spy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows whenever a session has reason to say what it sees of the server."""
    looked: list[str] = []
    real = module.Session._log_server

    def note(session: module.Session, reason: str = "") -> None:
        looked.append(reason)
        real(session, reason)

    monkeypatch.setattr(module.Session, "_log_server", note)
    return looked


@pytest.mark.parametrize("payload", MALFORMED)
def test_a_device_says_that_the_status_of_the_server_is_malformed(
    broker: RunningBroker, outbox: Outbox, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """In its log once and in its health, and it sends as soon as a good one comes."""
    put(outbox, 0)
    with serving(broker) as server:
        server.client.publish(topics.SERVER_STATUS, payload, qos=1, retain=True).wait_for_publish(REPLY_S)
        with running_session(broker, outbox) as session:
            wait_until(lambda: session.server == "malformed", "the device has seen it")
            server.client.publish(topics.SERVER_STATUS, payload, qos=1, retain=True).wait_for_publish(REPLY_S)
            assert server.numbers() == []
            server.online()
            wait_until(lambda: server.numbers() == [0], "the record arrives")
            assert session.server == "online"

    assert caplog.text.count("moodwire/v1/server/status holds no status of a server") == 1


def test_a_status_that_someone_clears_stops_a_device_until_it_is_back(broker: RunningBroker, outbox: Outbox) -> None:
    """An empty payload means that nobody confirms; the next `online` counts."""
    with serving(broker) as server, running_session(broker, outbox) as session:
        server.online()
        wait_until(lambda: session.server == "online", "the server is online")
        server.client.publish(topics.SERVER_STATUS, b"", qos=1, retain=True)
        wait_until(lambda: session.server == "missing", "the device has seen it")
        put(outbox, 0)
        server.online()
        wait_until(lambda: server.numbers() == [0], "the record arrives")


@pytest.mark.slow
def test_a_broker_that_withholds_the_status_is_named_once(
    broker: RunningBroker,
    outbox: Outbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An account that may not read it cannot tell that from no server; the log says both, and the health `missing`."""
    monkeypatch.setattr(module, "SILENCE_S", 0.2)
    monkeypatch.setattr(module, "CHECK_S", 0.05)
    looked = spy(monkeypatch)
    broker.stop()
    rules = tmp_path / "broker" / "acl"
    rules.write_text(rules.read_text().replace("pattern read moodwire/v1/server/status\n", ""))
    broker.start()
    with serving(broker) as server, running_session(broker, outbox) as session:
        server.online()
        wait_until(lambda: "the broker tells of no server" in caplog.text, "the device says so")
        assert session.server == "missing"
        broker.kill()
        broker.start()
        with serving(broker) as later:
            wait_until(lambda: later.states()[-1:] > [("online", 1)], "it is connected again")
            before = len(looked)
            wait_until(lambda: len(looked) > before + 1, "it has been silent for so long that the device would say so")

    assert caplog.text.count("let this device read moodwire/v1/server/status") == 1


def test_a_device_that_needs_no_server_has_no_view_of_it(
    broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """With `confirm = "broker"` it neither waits for a server nor speaks of one."""
    with serving(broker) as server:
        server.client.publish(topics.SERVER_STATUS, b"nonsense", qos=1, retain=True).wait_for_publish(REPLY_S)
        with running_session(broker, outbox, confirm="broker") as session:
            put(outbox, 0)
            assert session.drain(REPLY_S) == 0
            assert session.server is None

    assert "no status of a server" not in caplog.text


@pytest.mark.parametrize("payload", [b"nonsense", b'{"v":9}'])
def test_a_malformed_status_of_its_own_is_replaced(broker: RunningBroker, outbox: Outbox, payload: bytes) -> None:
    """Whoever comes later learns that the device is online, whatever someone has written there."""
    with serving(broker) as server, running_session(broker, outbox):
        own = topics.topic(DEVICE, "status")
        wait_until(lambda: [topic for topic, _ in server.heard] == [own], "the device is online")
        server.client.publish(own, payload, qos=1, retain=True)
        told = [(own, payload), server.heard[0]]
        wait_until(lambda: server.heard[1:] == told, "the device publishes it again")


def test_devices_that_call_each_other_malformed_do_not_fight(
    broker: RunningBroker, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version with the same id by mistake is contradicted at once, and then seldom."""
    monkeypatch.setattr(module, "CORRECT_S", 0.5)
    own = topics.topic(DEVICE, "status")
    with serving(broker) as server, running_session(broker, outbox):

        def told() -> int:
            return len([payload for topic, payload in server.heard if topic == own and payload != b"other"])

        wait_until(lambda: told() == 1, "the device is online")
        server.client.publish(own, b"other", qos=1, retain=True)
        wait_until(lambda: told() == 2, "it contradicts")
        start_s = time.monotonic()
        server.client.publish(own, b"other", qos=1, retain=True)
        wait_until(lambda: told() == 3, "it contradicts again")

        assert time.monotonic() - start_s > 0.3


def test_a_retained_confirmation_confirms_nothing(
    broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell when it was published: only a fresh one lets a record go."""
    put(outbox, 0)
    answer = Stored(boot=STATUS.boot, stored=((0, 0),))
    with serving(broker) as server:
        server.publish(topics.topic(DEVICE, "stored"), answer, retain=True)
        with running_session(broker, outbox):
            wait_until(lambda: "ignored a retained confirmation" in caplog.text, "the device says so")
            assert outbox.waiting()[0] == 1
            server.publish(topics.topic(DEVICE, "stored"), answer)
            wait_until(lambda: outbox.waiting()[0] == 0, "a fresh one counts")


@pytest.mark.parametrize("payload", [b"nonsense", b'{"v":1,"gen":-1}', b'{"v":2,"gen":4}'])
def test_a_malformed_generation_changes_nothing(broker: RunningBroker, outbox: Outbox, payload: bytes) -> None:
    """What waits is sent all the same, and the next good one counts."""
    put(outbox, 0)
    with serving(broker) as server:
        topic = topics.topic(DEVICE, "generation")
        server.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(REPLY_S)
        with running_session(broker, outbox):
            server.online()
            wait_until(lambda: server.numbers() == [0], "the record arrives")
            assert outbox.generation == 0
            server.client.publish(topic, encode(Generation(gen=2)), qos=1, retain=True)
            wait_until(lambda: outbox.generation == 2, "the good one counts")
