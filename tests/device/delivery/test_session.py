"""A device's session on real brokers: presence, sending, confirmations, erasures."""

import time
from pathlib import Path

import pytest
from brokers import DEVICE, RunningBroker
from msgspec.structs import replace
from patience import REPLY_S
from records import heard
from services import wait_until
from sessions import STATUS, put, running_session, serving

from broker import topics
from broker.messages import Generation, Status, Stored, decode
from device.delivery.outbox import Outbox
from device.delivery.row import Row


def test_presence_is_retained_and_a_clean_stop_says_offline(any_broker: RunningBroker, outbox: Outbox) -> None:
    """Whoever comes later still learns that the device is online, and that it left."""
    with running_session(any_broker, outbox):
        with serving(any_broker) as early:
            wait_until(early.states, "the device is online")
        with serving(any_broker) as late:
            assert set(wait_until(late.states, "the retained status arrives")) == {("online", 1)}

    with serving(any_broker) as after:
        wait_until(lambda: after.states()[-1:] == [("offline", 1)], "the device is offline")


def test_a_stale_last_will_is_corrected(broker: RunningBroker, outbox: Outbox) -> None:
    """A will of an earlier connection that arrives late does not leave a live device offline."""
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")

        will = Status(**{field: getattr(STATUS, field) for field in STATUS.__struct_fields__} | {"state": "offline"})
        server.publish(topics.topic(DEVICE, "status"), will, retain=True)

        wait_until(lambda: [state for state, _ in server.states()][-1] == "online", "the device corrects it")


def test_a_status_that_an_erasure_cleared_is_said_again(broker: RunningBroker, outbox: Outbox) -> None:
    """A live device whose retained status was deleted is known again at once."""
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")

        server.client.publish(topics.topic(DEVICE, "status"), b"", qos=1, retain=True)

        wait_until(lambda: len(server.states()) == 2, "the device says it again")


def test_nothing_is_sent_before_someone_confirms(broker: RunningBroker, outbox: Outbox) -> None:
    """Records wait in the outbox until the server's status is online, then go as one message, oldest first."""
    put(outbox, 0, 1, 2)
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")
        server.online("offline")
        assert server.numbers() == []

        server.online()

        wait_until(lambda: server.numbers() == [0, 1, 2], "the records arrive")
        assert len([topic for topic, _ in server.heard if topic.endswith("/reading")]) == 1


def test_a_record_leaves_only_when_it_is_named(broker: RunningBroker, outbox: Outbox) -> None:
    """Of several records, exactly the confirmed ones are forgotten, whatever became of them."""
    put(outbox, *range(6))
    with serving(broker) as server, running_session(broker, outbox):
        server.online()
        wait_until(lambda: len(server.numbers()) == 6, "the records arrive")

        answer = Stored(
            boot=STATUS.boot, stored=((0, 1),), expired=((3, 3),), erased=((4, 4),), refused=((5, 5, "because"),)
        )
        server.publish(topics.topic(DEVICE, "stored"), answer)

        wait_until(lambda: [row.seq for row in outbox.oldest(10)] == [2], "only the unnamed one waits")


@pytest.mark.slow
def test_after_the_broker_was_killed_everything_unconfirmed_goes_again(
    any_broker: RunningBroker, outbox: Outbox
) -> None:
    """What was on its way when the broker died is sent again to the next one, and presence returns."""
    with running_session(any_broker, outbox):
        with serving(any_broker) as server:
            server.online()
            put(outbox, 0)
            wait_until(lambda: server.numbers() == [0], "the record arrives once")
        any_broker.kill()
        put(outbox, 1)
        any_broker.start()
        with serving(any_broker) as server:
            server.online()
            wait_until(lambda: {0, 1} <= set(server.numbers()), "both records arrive")
            # Each try has a number, and some come too early for a broker that takes seconds to start.
            wait_until(lambda: server.states() and server.states()[-1] > ("online", 1), "it is online by a later one")


def test_a_device_can_stop_when_the_broker_is_dead(broker: RunningBroker, outbox: Outbox) -> None:
    """Without a broker there is nobody to say goodbye to, and that is no error; what waits stays."""
    with running_session(broker, outbox):
        with serving(broker) as server:
            wait_until(server.states, "the device is online")
        broker.kill()
        put(outbox, 0)

    assert outbox.waiting()[0] == 1


def test_an_erasure_purges_what_waits(broker: RunningBroker, outbox: Outbox) -> None:
    """When someone deleted the device's data, older records go and new ones carry the new generation."""
    put(outbox, 0, 1)
    with serving(broker) as server, running_session(broker, outbox) as session:
        erased: list[int] = []
        session.on_erased = erased.append
        for generation in (4, 4, 5):
            server.publish(topics.topic(DEVICE, "generation"), Generation(gen=generation), retain=True)

        wait_until(lambda: erased[-1:] == [5], "what else holds data is told")
        assert erased == [4, 5], "once for each"
        assert outbox.generation == 5
        assert outbox.waiting()[0] == 0


def test_malformed_answers_are_ignored(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """What is no message of ours is logged and changes nothing; the next good one counts."""
    put(outbox, 0)
    with serving(broker) as server, running_session(broker, outbox):
        server.online()
        wait_until(server.numbers, "the record arrives")
        for payload in (b"", b"nonsense", b'{"v":1,"boot":"x"}', b"[" * 10_000):
            server.client.publish(topics.topic(DEVICE, "stored"), payload, qos=1)
        server.publish(topics.topic(DEVICE, "stored"), Stored(boot=STATUS.boot, stored=((0, 0),)))
        wait_until(lambda: outbox.waiting()[0] == 0, "the good answer counts")

    assert caplog.text.count("ignored a message on") == 4


def test_kinds_go_to_their_own_topics(broker: RunningBroker, outbox: Outbox) -> None:
    """A heard record is not sent as a reading."""
    put(outbox, 0)
    at = time.time_ns() // 1_000_000
    outbox.put(Row.of(heard(1, at, boot=STATUS.boot), outbox.timestamps.stamp(0)))
    with serving(broker) as server, running_session(broker, outbox):
        server.online()

        wanted = {topics.topic(DEVICE, "reading"), topics.topic(DEVICE, "heard")}
        wait_until(lambda: wanted <= {topic for topic, _ in server.heard}, "both arrive")


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_without_a_server_the_broker_confirms(broker: RunningBroker, outbox: Outbox, version: str) -> None:
    """With `confirm = "broker"` rows go out with no server there, and leave the outbox once the broker has them."""
    put(outbox, *range(250))
    with serving(broker) as server, running_session(broker, outbox, confirm="broker", mqtt_version=version) as session:
        assert session.drain(REPLY_S) == 0
        put(outbox, 250)
        session.notify()
        assert session.drain(REPLY_S) == 0
        wait_until(lambda: sorted(server.numbers()) == list(range(251)), "all have arrived, once")


@pytest.mark.slow
def test_unconfirmed_rows_stay_without_a_broker(broker: RunningBroker, outbox: Outbox) -> None:
    """With `confirm = "broker"` nothing leaves the outbox while the broker is away."""
    with running_session(broker, outbox, confirm="broker") as session:
        assert session.drain(0) == 0
        broker.kill()
        put(outbox, 0)
        session.notify()
        assert session.drain(0.3) == 1
        broker.start()
        assert session.drain(REPLY_S) == 0


def test_a_refused_row_is_not_confirmed(
    broker: RunningBroker, outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With MQTT 5 and `confirm = "broker"`, a record that the access rules forbid stays in the outbox."""
    put(outbox, 0)
    broker.stop()
    rules = tmp_path / "broker" / "acl"
    rules.write_text(rules.read_text().replace("pattern write moodwire/v1/%u/reading\n", ""))
    broker.start()
    with running_session(broker, outbox, confirm="broker", mqtt_version="5") as session:
        wanted = f"does not let this device publish on {topics.topic(DEVICE, 'reading')}"
        wait_until(lambda: wanted in caplog.text, "the device says so")
        assert session.drain(0) == 1


@pytest.mark.slow
def test_a_changed_status_is_told_and_kept_over_connections(broker: RunningBroker, outbox: Outbox) -> None:
    """Paused, renamed, with another model: the retained status says so at once, and again after a lost connection."""
    with running_session(broker, outbox) as session:
        with serving(broker) as server:
            wait_until(server.states, "the device is online")
            session.set_status(state="paused", name="Hall", labels=("ANG", "CAL"), model="other-2")
            wait_until(lambda: server.states()[-1] == ("paused", 1), "the device is paused")
            server.publish(topics.topic(DEVICE, "status"), replace(STATUS, state="offline"), retain=True)
            wait_until(lambda: server.states()[-1] == ("paused", 1), "a stale will is corrected to paused")
        broker.kill()
        broker.start()
        with serving(broker) as server:
            wait_until(lambda: [state for state, _ in server.states()][-1:] == ["paused"], "it is paused still")
            payload = [payload for topic, payload in server.heard if topic == topics.topic(DEVICE, "status")][-1]
            told = decode(payload, Status)
            assert (told.name, told.labels, told.model) == ("Hall", ("ANG", "CAL"), "other-2")


def test_a_stale_will_of_the_process_before_is_corrected(broker: RunningBroker, outbox: Outbox) -> None:
    """When power came back before the broker noticed that it was gone, the late will does not hide the device."""
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")

        before = replace(STATUS, boot="f" * 16, state="offline", connection=3)
        server.publish(topics.topic(DEVICE, "status"), before, retain=True)

        wait_until(lambda: server.states()[-1] == ("online", 1), "the device corrects it")


def test_another_live_device_with_the_same_id_is_left_alone(broker: RunningBroker, outbox: Outbox) -> None:
    """Two devices with one id do not answer each other's status for ever."""
    with serving(broker) as server, running_session(broker, outbox):
        wait_until(server.states, "the device is online")
        server.publish(topics.topic(DEVICE, "status"), replace(STATUS, boot="f" * 16, connection=9), retain=True)
        server.online()  # comes after it, so the device has seen both when it sends
        put(outbox, 0)
        wait_until(server.numbers, "the reading arrives")

        assert server.states() == [("online", 1), ("online", 9)]
