"""Operators ask devices over REST: checked, audited, sent when the device is there, and answered by transaction."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import rooms
from brokers import ACCOUNTS, free_port, running_broker
from brokers import DEVICE as REAL
from clients import MAC, OPERATOR, URL, VIEWER, Client
from msgspec.structs import replace
from patience import REPLY_S
from records import BOOT, DEVICE, OTHER_BOOT, status
from rooms import ROOT, Rest, Room, bearer
from services import running_store, wait_until

from broker.messages import Command, CommandResponse, ModelCommand, SetCommand, decode
from server.store import command_queue, keys

COMMANDS = f"{URL}/commands"


def ask(client: Client, body: Any, token: str = OPERATOR) -> Any:
    """Return the response to a command."""
    return client.flask.post(COMMANDS, json=body, headers={"Authorization": f"Bearer {token}"})


def outcome(client: Client, transaction: str) -> tuple[str, bool, str | None]:
    """Return status, whether it was sent, and the error of a command."""
    found = client.get(f"{COMMANDS}/{transaction}")
    return found["status"], found["sent"], found["error"]


def answer(client: Client, transaction: str, error: str | None = None) -> None:
    """Store what a device answers."""
    response = CommandResponse(transaction=transaction, status="error" if error else "ok", error=error)
    client.store.write([(DEVICE, response)])


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"command": "pause"}, Command(transaction="")),
        ({"command": "resume"}, Command(transaction="")),
        ({"command": "set", "name": "Hall", "gate_dbfs": -45}, SetCommand(transaction="", name="Hall", gate_dbfs=-45)),
        ({"command": "model", "source": "/m"}, ModelCommand(transaction="", source="/m")),
        ({"command": "model", "rollback": True}, ModelCommand(transaction="", rollback=True)),
    ],
)
def test_a_command_is_queued_as_the_wire_has_it(
    client: Client, now: int, caplog: pytest.LogCaptureFixture, body: dict[str, Any], sent: Command
) -> None:
    """It is accepted with its address, due on the device's connection, and in the audit log."""
    with caplog.at_level(logging.INFO, "moodwire.audit"):
        response = ask(client, body)
    assert response.status_code == 202
    transaction = response.json["transaction"]
    assert response.headers["Location"].endswith(f"/commands/{transaction}")
    assert client.get(f"{COMMANDS}/{transaction}") == response.json
    facts = (response.json["status"], response.json["command"], response.json["sent"])
    assert facts == ("pending", body["command"], False)
    (order,) = client.store.commands.due()
    assert (order.device, order.name, order.connection) == (DEVICE, body["command"], f"{BOOT}:1")
    assert decode(order.payload, type(sent)) == replace(sent, transaction=transaction)
    assert caplog.messages == [
        f"asked {MAC} to {body['command']}, transaction {transaction}, by token operator_token from 127.0.0.1"
    ]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "a JSON object"),
        ([], "a JSON object"),
        ("pause", "a JSON object"),
        ({}, "parameter 'command' is missing"),
        ({"command": "dance"}, "invalid command 'dance'"),
        ({"command": "pause", "name": "Hall"}, "pause takes no other field; got name"),
        ({"command": "set"}, "set takes any of `name`, `gate_dbfs` and `forget_baseline: true`; got no other field"),
        ({"command": "set", "gate_dbfs": 3}, "invalid gate_dbfs 3"),
        ({"command": "set", "gate_dbfs": "-3"}, "invalid gate_dbfs '-3'"),
        ({"command": "set", "name": "\ud800"}, "name"),
        ({"command": "model"}, "model takes either `source` or `rollback: true`"),
        ({"command": "model", "source": "/m", "rollback": True}, "got rollback, source"),
        ({"command": "pause", "v": 1}, "unknown parameter 'v'"),
    ],
)
def test_an_invalid_command_is_refused(client: Client, now: int, body: Any, sentence: str) -> None:
    """Nothing is queued, and the problem says what to send."""
    response = ask(client, body)
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert sentence in response.json["detail"]
    assert client.store.commands.due() == []


def test_viewers_send_no_commands_and_unknown_devices_get_none(client: Client, now: int) -> None:
    """A viewer may read the state of a command but not send one; an unknown device or transaction is 404."""
    assert ask(client, {"command": "pause"}, VIEWER).status_code == 403
    transaction = ask(client, {"command": "pause"}).json["transaction"]
    assert outcome(client, transaction) == ("pending", False, None)
    assert "no command 'abc'" in client.problem(f"{COMMANDS}/abc", 404)
    for field in (":sent", ":answer", "é"):
        client.problem(f"{COMMANDS}/{transaction}{field}", 404)
    stranger = COMMANDS.replace("01:", "02:")
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    assert client.flask.post(stranger, json={"command": "pause"}, headers=headers).status_code == 404


def test_a_command_waits_for_its_device_and_is_sent_again_on_a_new_connection(client: Client, now: int) -> None:
    """It is sent once on each connection; a command that must not happen twice skips another boot."""
    store, due = client.store, client.store.commands.due
    store.write([(DEVICE, status(state="offline"))])
    pause = ask(client, {"command": "pause"}).json["transaction"]
    rollback = ask(client, {"command": "model", "rollback": True}).json["transaction"]
    assert due() == []
    store.write([(DEVICE, status(connection=2))])
    first = due()
    assert [order.id for order in first] == [pause, rollback]
    for order in first:
        store.commands.note_taken([order])
    assert due() == []
    assert outcome(client, pause) == ("pending", True, None)
    store.write([(DEVICE, status(state="paused", connection=3))])
    assert [order.id for order in due()] == [pause, rollback]
    store.write([(DEVICE, status(boot=OTHER_BOOT))])
    assert [order.id for order in due()] == [pause]
    answer(client, pause)
    assert due() == []
    assert store.execute("XLEN", keys.COMMANDS) == 1


def test_the_first_answer_counts_and_only_to_a_known_command(client: Client, now: int) -> None:
    """A repeated answer changes nothing, an answer to an unknown command is dropped, a long error is cut."""
    first, second = (ask(client, {"command": "pause"}).json["transaction"] for _ in range(2))
    answer(client, first)
    answer(client, first, "no")
    answer(client, second, "x" * 9999)
    kept = client.store.execute("HLEN", keys.commands(DEVICE))
    for foreign in ("f" * 16, f"{first}:answer", f"{first}:sent", "home assistant"):
        answer(client, foreign)
    assert client.store.execute("HLEN", keys.commands(DEVICE)) == kept
    assert outcome(client, first) == ("ok", True, None)
    assert outcome(client, second) == ("error", True, "x" * 500)


def test_a_command_expires(client: Client, now: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expired command is not sent and says why; a late answer still counts; after an hour all is gone."""
    client.store.write([(DEVICE, status(state="offline"))])
    monkeypatch.setattr(command_queue, "LIFETIME_MS", 1)
    unsent = ask(client, {"command": "pause"}).json["transaction"]
    wait_until(lambda: outcome(client, unsent)[0] == "expired", "the command expires")
    assert outcome(client, unsent)[2] == "the device was not online within 0 min"
    client.store.write([(DEVICE, status(connection=2))])
    assert client.store.commands.due() == []
    assert client.store.execute("XLEN", keys.COMMANDS) == 0
    answer(client, unsent)
    assert outcome(client, unsent)[0] == "ok"
    assert 3500 < client.store.execute("TTL", keys.commands(DEVICE)) <= 3600


def test_unanswered_commands_are_limited(client: Client, now: int) -> None:
    """A device has so many unanswered commands at most; an answer makes room, and only the latest are kept."""
    transactions = [ask(client, {"command": "pause"}).json["transaction"] for _ in range(command_queue.MAX_WAITING)]
    response = ask(client, {"command": "pause"})
    assert (response.status_code, response.headers["Retry-After"]) == (429, "60")
    assert "has 20 unanswered commands" in response.json["detail"]
    for _ in range(6):
        for transaction in transactions:
            answer(client, transaction)
        transactions = [ask(client, {"command": "pause"}).json["transaction"] for _ in range(command_queue.MAX_WAITING)]
    fields = client.store.execute("HKEYS", keys.commands(DEVICE))
    assert len([name for name in fields if b":" not in name]) <= 101


def test_delete_forgets_commands(client: Client, now: int) -> None:
    """A Delete drops the commands of its device, and only the Delete itself is sent."""
    transaction = ask(client, {"command": "set", "name": "Ann's room"}).json["transaction"]
    client.ask(URL, "DELETE", OPERATOR)
    assert [command.name for command in client.store.commands.due()] == ["erase"]
    assert client.store.execute("XLEN", keys.COMMANDS) == 0
    assert client.store.commands.find(DEVICE, transaction) is None


class World:
    """Broker, store, ingest and REST as an operator meets them, and the settings of a device there."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        broker = stack.enter_context(running_broker(folder / "broker"))
        store = stack.enter_context(running_store(folder / "store"))
        self.rest = Rest(free_port())
        services = {"redis_url": store.url, "mqtt_url": broker.url}
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        tokens = {"viewer_token": rooms.VIEWER, "operator_token": rooms.OPERATOR}
        port = self.rest.url.rpartition(":")[2]
        stack.enter_context(Room(folder, "server", "ingest", **services, **login))
        stack.enter_context(Room(folder, "server", "run", **services, **tokens, api_port=port))
        wait_until(self.rest.ready, "store and ingest are ready")
        self.device = {
            "clips": ROOT / "samples",
            "loop": "true",
            "identity": REAL,
            "mqtt_url": broker.url,
            "mqtt_password": ACCOUNTS[REAL],
            "state_dir": folder / "device",
            "clock_wait_s": 0,
        }

    def ask(self, **body: Any) -> str:
        """Give a command and return its transaction."""
        url = f"{self.rest.url}/api/v1/devices/{REAL}/commands"
        answer = requests.post(url, json=body, headers=bearer(rooms.OPERATOR), timeout=REPLY_S)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["transaction"])

    def ended(self, transaction: str) -> dict[str, Any] | None:
        """Return a command that is no longer pending."""
        found: dict[str, Any] = self.rest.get(f"/devices/{REAL}/commands/{transaction}")
        return None if found["status"] == "pending" else found

    def until(self, state: str) -> None:
        """Wait until the device is said to be in a state."""
        listed = "the device is listed"
        wait_until(lambda: self.rest.get("/devices")["devices"], listed)
        wait_until(lambda: self.rest.get(f"/devices/{REAL}")["state"] == state, f"the device is {state}")


@pytest.mark.slow
def test_a_real_device_does_what_rest_asks(tmp_path: Path) -> None:
    """It pauses, resumes, refuses with a sentence, and gets after a break the commands sent meanwhile."""
    with ExitStack() as stack:
        world = World(tmp_path, stack)
        device = stack.enter_context(Room(tmp_path, "device", "run", **world.device))
        world.until("online")
        for command, state in (("pause", "paused"), ("resume", "online")):
            transaction = world.ask(command=command)
            done = wait_until(lambda: world.ended(transaction), f"the device answers {command}")  # noqa: B023
            assert (done["status"], done["error"], done["sent"]) == ("ok", None, True)
            world.until(state)
        nowhere = world.ask(command="model", rollback=True)
        refused = wait_until(lambda: world.ended(nowhere), "the device answers model")
        assert refused["status"] == "error"
        assert refused["error"]

        device.stop()
        world.until("offline")
        name = world.ask(command="set", name="Hall")
        assert world.ended(name) is None
        device.start()
        done = wait_until(lambda: world.ended(name), "the device answers set")
        assert (done["status"], done["sent"]) == ("ok", True)
        wait_until(lambda: world.rest.get(f"/devices/{REAL}")["name"] == "Hall", "everyone sees the new name")
