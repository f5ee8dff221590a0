"""The queue of commands and erasures: what is due when, and that nothing in it is lost or starved."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import BOOT, DEVICE, OTHER_BOOT, reading, status

from broker.messages import Command, CommandResponse, Generation, ModelCommand, encode
from server.store import command_queue, keys
from server.store.redis_store import RedisStore

AWAY = "00000000000f"
PAUSE = Command(transaction="ab")


def due(store: RedisStore) -> list[tuple[str, str]]:
    """Return device and name of what is due."""
    return [(command.device, command.name) for command in store.commands.due()]


def test_a_command_goes_its_way(store: RedisStore) -> None:
    """It is due for the device's connection, once, and its answer is found; nobody else's is kept."""
    store.write([(DEVICE, status())])
    store.commands.add(DEVICE, "pause", Command(transaction="ab"))
    (order,) = store.commands.due()
    assert order.connection == f"{BOOT}:1"
    store.commands.note_taken([order])
    assert store.commands.due() == []
    assert store.commands.waiting(DEVICE) == 1
    kinds = [
        outcome and outcome.kind
        for outcome in store.write([(DEVICE, CommandResponse(transaction=name, status="ok")) for name in ("ab", "cd")])
    ]
    assert kinds == ["stored", "stale"]
    found = store.commands.find(DEVICE, "ab")
    assert found
    assert found.response == CommandResponse(transaction="ab", status="ok")
    assert store.commands.waiting(DEVICE) == 0


def test_an_erasure_is_due_until_the_broker_has_taken_it(store: RedisStore) -> None:
    """It waits for no device, comes with the generation to go on with, and is gone once it is taken."""
    store.write([(DEVICE, status(state="offline")), (DEVICE, reading(0, store.now()))])
    receipt = store.erase(DEVICE)
    (erasure,) = store.commands.due()
    assert (erasure.id, erasure.device, erasure.name) == (receipt.command, DEVICE, "erase")
    assert erasure.payload == encode(Generation(gen=1))
    assert store.commands.due() == [erasure]
    store.commands.note_taken([erasure])
    assert store.commands.due() == []


def test_erasures_and_commands_are_due_together(store: RedisStore) -> None:
    """Both kinds come from one call and are noted by one, and what waits for a device that is away stays."""
    store.write([(DEVICE, status()), (AWAY, status(state="offline"))])
    store.commands.add(AWAY, "pause", Command(transaction="aa"))
    store.commands.add(DEVICE, "pause", PAUSE)
    store.erase("00000000000e")
    assert due(store) == [("00000000000e", "erase"), (DEVICE, "pause")]
    store.commands.note_taken(store.commands.due())
    assert due(store) == []
    state = store.commands.find(DEVICE, "ab")
    assert state is not None
    assert state.sent
    store.write([(AWAY, status())])
    assert due(store) == [(AWAY, "pause")]


def test_an_erasure_ends_the_commands_of_its_device(store: RedisStore) -> None:
    """Of an erased device nothing is due but the erasure, also after it has come back."""
    store.write([(DEVICE, status())])
    store.commands.add(DEVICE, "pause", PAUSE)
    store.erase(DEVICE)
    store.write([(DEVICE, status(connection=2))])
    assert due(store) == [(DEVICE, "erase")]


def test_what_must_not_happen_twice_spares_another_boot(store: RedisStore) -> None:
    """A rollback that was sent goes again to the same boot on a new connection, and never to another boot."""
    store.write([(DEVICE, status())])
    store.commands.add(DEVICE, "model", ModelCommand(transaction="ab", rollback=True))
    store.commands.note_taken(store.commands.due())
    store.write([(DEVICE, status(connection=2))])
    assert due(store) == [(DEVICE, "model")]
    store.write([(DEVICE, status(boot=OTHER_BOOT))])
    assert due(store) == []


def test_entries_that_version_0_2_left_are_due(store: RedisStore) -> None:
    """An erasure and a command that were queued before an update of the server are published after it."""
    store.write([(DEVICE, status())])
    until = store.now() + 300_000
    entry = b'{"name":"pause","asked_at":%d}' % store.now()
    store.execute("HSET", f"mw:{{{DEVICE}}}:orders", "ab", entry)
    store.execute("XADD", "mw:jobs", "*", "device", AWAY, "generation", 3)
    command = ("device", DEVICE, "name", "pause", "transaction", "ab", "payload", encode(PAUSE), "once", 0)
    store.execute("XADD", "mw:orders", "*", *command, "until", until)
    erasure, pause = store.commands.due()
    assert (erasure.device, erasure.payload) == (AWAY, encode(Generation(gen=3)))
    assert (pause.device, pause.name, pause.payload, pause.connection) == (DEVICE, "pause", encode(PAUSE), f"{BOOT}:1")


def test_devices_that_are_away_hold_up_nothing(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many commands wait for devices that are away, an erasure is due at once and other commands in turn."""
    monkeypatch.setattr(command_queue, "_PAGE", 3)
    for number in range(5):
        away = f"{number:012x}"
        store.write([(away, status(state="offline"))])
        store.commands.add(away, "pause", Command(transaction=command_queue.new_transaction()))
    store.write([(DEVICE, status())])
    commands = store.commands
    commands.add(DEVICE, "pause", PAUSE)
    commands.add_erasure(AWAY, 1)
    assert [[command.name for command in commands.due()] for _ in range(3)] == [
        ["erase"],
        ["erase", "pause"],
        ["erase"],
    ]


def test_what_ended_leaves_the_stream(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is answered or too old is forgotten by the next look."""
    store.write([(DEVICE, status()), (AWAY, status(state="offline"))])
    store.commands.add(DEVICE, "pause", PAUSE)
    monkeypatch.setattr(command_queue, "LIFETIME_MS", 0)
    store.commands.add(AWAY, "pause", Command(transaction="aa"))
    store.write([(DEVICE, CommandResponse(transaction="ab", status="ok"))])
    assert due(store) == []
    assert store.execute("XLEN", keys.COMMANDS) == 0


@given(st.text(max_size=20))
def test_no_transaction_is_a_failure(text: str) -> None:
    """Whatever is asked after, the store is asked for fields that only an order has, or not at all."""
    asked: list[Any] = []

    def ask_all(commands: Any) -> list[Any]:
        asked.extend(commands)
        return [[None, None, None]]

    assert command_queue.CommandQueue(ask_all, lambda: 0).find(DEVICE, text) is None
    assert all(len(command) == 5 for command in asked)
