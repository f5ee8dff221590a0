"""Commands to a device over a real broker, and its answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from brokers import DEVICE, RunningBroker
from services import wait_until
from sessions import running_session, serving

from broker import topics
from broker.messages import CommandResponse, decode
from device.control.commands import Commands
from device.control.overrides import Overrides
from device.delivery.outbox import Outbox
from device.settings import DeviceSettings
from models import bundle, packing, signing


class Operator:
    """Asks a device over the broker, as the server's account."""

    def __init__(self, client: mqtt.Client, heard: list[tuple[str, bytes]]) -> None:
        self.client = client
        self.heard = heard

    def answers(self, name: topics.CommandName, transaction: str) -> list[CommandResponse]:
        """Return the answers to one transaction."""
        found = [payload for topic, payload in self.heard if topic == topics.command_response(DEVICE, name)]
        responses = [decode(payload, CommandResponse) for payload in found]
        return [response for response in responses if response.transaction == transaction]

    def ask(self, name: topics.CommandName, transaction: str, /, **fields: Any) -> CommandResponse:
        """Send a command and return its next answer."""
        before = len(self.answers(name, transaction))
        payload = json.dumps({"v": 1, "transaction": transaction} | fields)
        self.client.publish(topics.command(DEVICE, name), payload, qos=1)
        return wait_until(lambda: self.answers(name, transaction)[before:], f"{name} is answered")[0]


@contextmanager
def obeying(commands: Commands, broker: RunningBroker, outbox: Outbox) -> Iterator[None]:
    """Run a device that carries out what it is asked."""
    done = threading.Event()
    with running_session(broker, outbox, on_command=commands.put) as session:

        def obey() -> None:
            while not done.is_set():
                commands.wait(0.05)
                if commands.carry_out(session.answer):
                    desired = commands.desired
                    session.set_status(state="paused" if desired.paused else "online", name=desired.name)

        thread = threading.Thread(target=obey)
        thread.start()
        try:
            wait_until(lambda: session._connection.is_listening, "the device listens")
            yield
        finally:
            done.set()
            thread.join()


def test_commands_end_to_end(any_broker: RunningBroker, outbox: Outbox, tmp_path: Path) -> None:
    """The server's account pauses, renames, resumes and re-models a device, and reads each answer."""
    private = bytes(range(32))
    own = bundle.find(bundle.DEFAULT)
    (tmp_path / "packed").write_bytes(packing.pack(own, private))
    settings = DeviceSettings(name="Kitchen", state_dir=tmp_path, model_key=signing.public_key(private))
    commands = Commands(settings, Overrides(), own)
    with serving(any_broker) as server, obeying(commands, any_broker, outbox):
        operator = Operator(server.client, server.heard)
        assert operator.ask("pause", "1").status == "ok"
        wait_until(lambda: server.states()[-1] == ("paused", 1), "the status says paused")
        assert operator.ask("set", "2", name="Hall").status == "ok"
        assert operator.ask("resume", "3").status == "ok"
        assert operator.ask("model", "4", source=str(tmp_path / "packed")).status == "ok"
        assert "the set command is malformed" in str(operator.ask("set", "5", gate_dbfs="loud").error)
        assert operator.ask("pause", "1").status == "ok", "a repeated command is answered again"
        assert not commands.desired.paused, "and done once"
        assert commands.desired.bundle != own


def test_a_retained_command_is_ignored(broker: RunningBroker, outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    """A command that the broker keeps would come at every connect, so it is not carried out at all."""
    commands: list[str] = []
    with serving(broker) as server:
        server.client.publish(topics.command(DEVICE, "pause"), b'{"transaction":"1"}', qos=1, retain=True)
        with running_session(broker, outbox, on_command=lambda name, _payload: commands.append(name)):
            wait_until(lambda: "ignored a retained command on" in caplog.text, "the device says so")
            server.client.publish(topics.command(DEVICE, "resume"), b'{"transaction":"2"}', qos=1)
            wait_until(lambda: commands, "another command comes")

    assert commands == ["resume"]
