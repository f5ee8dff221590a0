"""Ingest loses nothing and stores nothing twice, whoever of broker, store and ingest is killed; with real ones."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import paho.mqtt.client as mqtt
import pytest
import rooms
from brokers import DEVICE, OTHER_DEVICE, RunningBroker
from patience import CHILD_S, REPLY_S
from records import BOOT, DAY_MS, OTHER_BOOT, reading, status
from rooms import Room
from services import RunningStore, running_store, wait_until
from stores import is_on_disk

from broker import embedded, topics
from broker.messages import Command, CommandResponse, Generation, Message, Stored, decode, encode, join
from server.store.redis_store import RedisStore


class Sender:
    """A device's side of the wire: publishes, and collects what the server answers."""

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        self.answers: list[tuple[str, bytes]] = []

    def send(self, kind: topics.FromDevice, *payloads: Message | bytes) -> None:
        """Publish one message with one or several records."""
        parts = [part if isinstance(part, bytes) else encode(part) for part in payloads]
        self._client.publish(topics.topic(DEVICE, kind), join(parts), qos=1)

    def confirmed(self, boot: str = BOOT) -> set[int]:
        """Return the sequence numbers that the server has called stored."""
        answers = [decode(payload, Stored) for topic, payload in self.answers if topic.endswith("/stored")]
        spans = [span for answer in answers if answer.boot == boot for span in answer.stored]
        return {seq for first, last in spans for seq in range(first, last + 1)}

    def refusals(self, kind: Literal["refused", "later"] = "refused") -> list[tuple[int, int, str]]:
        """Return what the server has refused, or takes later."""
        answers = [decode(payload, Stored) for topic, payload in self.answers if topic.endswith("/stored")]
        return [refusal for answer in answers for refusal in getattr(answer, kind)]


@pytest.fixture
def ingest(tmp_path: Path, broker: RunningBroker, redis_store: RunningStore) -> Iterator[Room]:
    """Run ingest between an empty store and a fresh broker."""
    with rooms.ingest(tmp_path, broker, redis_store) as room:
        room.says("the server is online")
        yield room


@contextmanager
def device(broker: RunningBroker) -> Iterator[Sender]:
    """Connect as a device that listens for its answers."""
    answers: list[tuple[str, bytes]] = []
    with broker.client(DEVICE, lambda topic, payload: answers.append((topic, payload))) as client:
        client.subscribe([(topics.topic(DEVICE, "stored"), 1), (topics.topic(DEVICE, "generation"), 1)])
        sender = Sender(client)
        sender.answers = answers
        yield sender


def opened(running: RunningStore) -> RedisStore:
    """Return the store in a running server."""
    return RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)


def test_bad_records_do_not_harm_their_neighbours(
    broker: RunningBroker, redis_store: RunningStore, ingest: Room
) -> None:
    """Between malformed, foreign and future records the good ones are stored, and what can be named is answered."""
    now = opened(redis_store).now()
    with device(broker) as sender, broker.client(embedded.SERVER_ACCOUNT) as stranger:
        nameless, no_state = b'{"no":"record"}', b'{"boot":"00000000000000aa","seq":2}'
        sender.send("reading", reading(0, now), nameless, no_state, reading(3, now + DAY_MS), reading(1, now))
        sender.send("reading", b"not JSON at all \xff")
        sender.send("status", b'{"v":1,"state":"asleep"}')
        stranger.publish("moodwire/v1/kitchen/reading", encode(reading(9, now)), qos=1)
        sender.send("reading", reading(4, now))
        wait_until(lambda: sender.confirmed() == {0, 1, 4}, "the good readings are confirmed")
        wait_until(lambda: {seq for seq, _, _ in sender.refusals()} == {2}, "the named one is refused")
        wait_until(lambda: {seq for seq, _, _ in sender.refusals("later")} == {3}, "the future one has to wait")
    assert [boot.records for boot in opened(redis_store).boots(DEVICE)] == [3]
    for words in ("missing required field", "names no device", f"{DEVICE}/status", "malformed"):
        ingest.says(words)


def test_readings_survive_a_killed_ingest_and_a_killed_store(broker: RunningBroker, tmp_path: Path) -> None:
    """With ingest and store killed in the middle of a stream, every reading is found exactly once."""
    with running_store(tmp_path / "store") as running, device(broker) as sender:
        ingest = rooms.ingest(tmp_path, broker, running)
        ingest.says("the server is online")
        now = opened(running).now()
        for seq in range(3000):
            sender.send("reading", reading(seq, now - seq))
            if seq == 500:
                wait_until(sender.confirmed, "the first readings are confirmed")
                ingest.kill()
            if seq == 1000:
                ingest.start()
                ingest.says("the server is online", 2)
            if seq == 2000:
                running.kill()
                ingest.says("nothing is lost meanwhile")
                running.start()
        wait_until(lambda: opened(running).boots(DEVICE)[0].records == 3000, "all are stored")
        (boot,) = opened(running).boots(DEVICE)
        assert (boot.records, boot.missing) == (3000, 0)
        assert sum(table.at.size for table in opened(running).readings(DEVICE, now - 3000, now + 1)) == 3000
        assert ingest.stop() == 0


@pytest.mark.slow
def test_ingest_waits_for_a_broker_and_a_store_that_are_not_there(tmp_path: Path) -> None:
    """Started before broker and store, ingest says so once and works as soon as both are there."""
    broker = RunningBroker(tmp_path / "broker", "mosquitto")
    broker.stop()
    with running_store(tmp_path / "store") as running:
        running.kill()
        ingest = rooms.ingest(tmp_path, broker, running)
        ingest.says("does not answer")
        ingest.says("cannot be reached")
        running.start()
        broker.start()
        try:
            ingest.says("the server is online")
            assert ingest.log.count("cannot be reached") == 1
            assert ingest.log.count("does not answer") == 1
            assert ingest.stop() == 0
        finally:
            broker.stop()


@pytest.mark.slow
def test_a_delete_reaches_the_device_and_the_broker(
    broker: RunningBroker, redis_store: RunningStore, ingest: Room
) -> None:
    """After a Delete the new generation is retained for the device, and all else that was retained of it is gone."""
    store = opened(redis_store)
    now = store.now()
    with device(broker) as sender:
        sender._client.publish(topics.topic(DEVICE, "status"), encode(status()), qos=1, retain=True)
        sender._client.publish(topics.topic(DEVICE, "state"), b"{}", qos=1, retain=True)
        sender._client.publish(topics.home_assistant(DEVICE), b"{}", qos=1, retain=True)
        sender.send("reading", reading(0, now))
        wait_until(lambda: sender.confirmed() == {0}, "the reading is confirmed")
        wait_until(lambda: getattr(store.device(DEVICE), "name", "") == "Kitchen", "the status is stored")
        store.erase(DEVICE)
        wait_until(lambda: store.commands.due() == [], "the broker has taken the erasure")
        sender.send("reading", reading(1, now))
        wait_until(lambda: any(b'"erased":[[1,1]]' in payload for _, payload in sender.answers), "it is erased")
        sender.send("reading", reading(2, now, gen=1))
        wait_until(lambda: sender.confirmed() == {0, 2}, "the new generation is taken")
    retained: dict[str, bytes] = {}
    with (
        broker.client(embedded.SERVER_ACCOUNT, retained.__setitem__) as server,
        broker.client(embedded.HOME_ASSISTANT_ACCOUNT, retained.__setitem__) as home,
    ):
        home.publish(topics.HOME_ASSISTANT_STATUS, b"online", qos=1, retain=True).wait_for_publish(REPLY_S)
        home.subscribe("homeassistant/#", qos=1)
        server.subscribe(f"{topics.ROOT}/#", qos=1)
        wanted = {topics.topic(DEVICE, "generation"), topics.HOME_ASSISTANT_STATUS}
        wait_until(lambda: wanted <= retained.keys(), "the generation is retained")
    assert json.loads(retained[topics.topic(DEVICE, "generation")])["gen"] == 1
    gone = {topics.home_assistant(DEVICE), *(topics.topic(DEVICE, kind) for kind in ("state", "status", "health"))}
    assert not gone & retained.keys()


@pytest.mark.slow
def test_what_is_queued_while_ingest_is_away_is_sent_once_it_is_back(
    broker: RunningBroker, redis_store: RunningStore, ingest: Room
) -> None:
    """A command reaches its device once, and a device that was erased while it was away finds its generation."""
    store = opened(redis_store)
    told: list[tuple[str, bytes]] = []
    with broker.client(DEVICE, lambda topic, payload: told.append((topic, payload))) as client:
        client.subscribe(topics.command(DEVICE, "pause"), qos=1)
        client.publish(topics.topic(DEVICE, "status"), encode(status()), qos=1, retain=True)
        wait_until(lambda: store.device(DEVICE), "the status is stored")
        ingest.kill()
        pause = Command(transaction="ab")
        store.commands.add(DEVICE, "pause", pause)
        store.erase(OTHER_DEVICE)
        ingest.start()
        wait_until(lambda: store.commands.due() == [], "the broker has taken both")
        wait_until(lambda: told == [(topics.command(DEVICE, "pause"), encode(pause))], "the device has the command")
        state = store.commands.find(DEVICE, "ab")
        assert state is not None
        assert state.sent
        ingest.kill()
        ingest.start()
        ingest.says("the server is online", 3)
        response = CommandResponse(transaction="ab", status="ok")
        client.publish(f"{topics.command(DEVICE, 'pause')}/response", encode(response), qos=1)
        wait_until(lambda: getattr(store.commands.find(DEVICE, "ab"), "response", None), "the response is stored")
        assert len(told) == 1
    generations: list[bytes] = []
    with broker.client(OTHER_DEVICE, lambda _, payload: generations.append(payload)) as other:
        other.subscribe(topics.topic(OTHER_DEVICE, "generation"), qos=1)
        wait_until(lambda: generations == [encode(Generation(gen=1))], "the other device has its generation")


def test_ingest_says_offline_when_it_goes_and_when_it_dies(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """The server's retained status is `offline` after SIGTERM, and by its last will after kill -9."""
    heard: list[bytes] = []
    with broker.client(embedded.SERVER_ACCOUNT, lambda _, payload: heard.append(payload)) as client:
        client.subscribe(topics.SERVER_STATUS, qos=1)
        for end in (signal.SIGTERM, signal.SIGKILL):
            ingest = rooms.ingest(tmp_path, broker, redis_store)
            wait_until(lambda: heard and b"online" in heard[-1], "the server is online")
            ingest.process.send_signal(end)
            ingest.process.wait(CHILD_S)
            wait_until(lambda: b"offline" in heard[-1], f"the server is offline after {end.name}")


def test_a_status_is_not_overtaken_under_load(broker: RunningBroker, redis_store: RunningStore, ingest: Room) -> None:
    """Each state of a device amid thousands of readings is an event, in the order in which it was told."""
    store = opened(redis_store)
    now = store.now()
    told = ["online", "paused"] * 15
    with device(broker) as sender:
        for number, state in enumerate(told):
            sender.send("status", status(state=state))
            for seq in range(100 * number, 100 * (number + 1)):
                sender.send("reading", reading(seq, now - seq))
        wait_until(lambda: len(sender.confirmed()) == 100 * len(told), "all readings are confirmed")
    assert [event.state for event in store.events(DEVICE, 0, store.now() + 1)] == told


def test_two_boots_at_once_are_confirmed_apart(broker: RunningBroker, redis_store: RunningStore, ingest: Room) -> None:
    """Two devices with one id each get their own sequence numbers confirmed."""
    now = opened(redis_store).now()
    with device(broker) as sender:
        sender.send("reading", reading(0, now), reading(0, now, boot=OTHER_BOOT), reading(1, now, boot=OTHER_BOOT))
        wait_until(lambda: sender.confirmed(OTHER_BOOT) == {0, 1}, "the second boot is confirmed")
        wait_until(lambda: sender.confirmed() == {0}, "the first boot is confirmed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MQTT_URL", "tcp://x", "is not the URL of a broker"),
        ("REDIS_URL", "http://x", "is no address of a store"),
        ("RETENTION_DAYS", "0", "do not fit"),
    ],
)
def test_settings_that_cannot_work_end_with_code_2(name: str, value: str, sentence: str) -> None:
    """A wrong URL or retention is one sentence on stderr and exit code 2."""
    for command in ("ingest", "run"):
        if (name, command) == ("MQTT_URL", "run"):
            continue  # REST never speaks MQTT
        done = subprocess.run(
            [sys.executable, "-m", "moodwire", "server", command],
            env=os.environ | {f"MOODWIRE_{name}": value},
            capture_output=True,
            text=True,
            check=False,
            timeout=CHILD_S,
        )
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_what_was_erased_leaves_the_disk_of_the_store(ingest: Room, redis_store: RunningStore) -> None:
    """Seconds after an erasure ingest lets the store rewrite its file, which has the device's name no more."""
    store = opened(redis_store)
    store.write([(DEVICE, status(name="Bedroom of Ada"))])
    assert is_on_disk(redis_store.log.parent, "Bedroom of Ada")
    store.erase(DEVICE)
    wait_until(lambda: not is_on_disk(redis_store.log.parent, "Bedroom of Ada"), "the name is in no file")
    assert "Traceback" not in ingest.log
    store.close()
