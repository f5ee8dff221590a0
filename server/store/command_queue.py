"""Commands of operators to devices, erasures among them: they wait in the store until ingest has sent them.

A broker forgets what it cannot deliver at once to a device without a lasting session, so a command waits here until the
device says that it is there, and goes again on each new connection until it is answered or expires. An erasure is due
at once, since the broker retains the generation for the device, and it is done once the broker has taken it. So the two
have a stream each: no erasure waits behind commands for devices that are away.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from broker import messages
from broker.messages import Command, CommandResponse, Generation
from broker.topics import CommandName
from server.store import full, keys
from server.store.types import ExecuteAll, Word

LIFETIME_MS = 300_000
"""How long a command may wait for its device; after that nobody expects any more that it happens."""
HISTORY_S = 3600
"""How long the states of a device's commands are kept after the last one."""
MAX_WAITING = 20
"""Commands of one device that are not answered yet."""
_MAX_HISTORY = 100
_PAGE = 200
"""Entries of a stream that `due` reads at a time, page after page: no device holds up the others."""
_PRESENT = (b"online", b"paused")


class _Entry(msgspec.Struct, frozen=True):
    """What the device's hash keeps of a command."""

    name: CommandName
    asked_at: int


_entry = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True)
class DueCommand:
    """A command that ingest shall publish now."""

    id: str
    """Transaction of a command, place in the stream of an erasure."""
    device: str
    name: CommandName | Literal["erase"]
    payload: bytes
    """Of an erasure: the generation that the device goes on with."""
    connection: str
    """Boot and number of the device's connection on which it is to get a command; empty for an erasure."""


@dataclass(frozen=True)
class CommandState:
    """A command as the operator who gave it sees it; times in Unix ms."""

    transaction: str
    name: CommandName
    asked_at: int
    sent: bool
    """Whether the broker has taken it while the device was there, or the device has even answered."""
    response: CommandResponse | None

    @property
    def until(self) -> int:
        """When it is no longer sent."""
        return self.asked_at + LIFETIME_MS


class CommandQueue:
    """The commands to all devices.

    Every method raises `StoreAwayError` when the store cannot answer.

    Args:
        execute_all: Carries out commands of the store and returns their replies.
        now: Returns the store's clock, Unix ms.
    """

    def __init__(self, execute_all: ExecuteAll, now: Callable[[], int]) -> None:
        self._execute_all = execute_all
        self._now = now
        self._next_page = "-"

    def waiting(self, device: str) -> int:
        """Return how many commands of a device are neither answered nor expired; forget the oldest."""
        now = self._now()
        (found,) = self._execute_all([("HGETALL", keys.commands(device))])
        entries = {transaction: _entry.decode(value) for transaction, value in found.items() if b":" not in transaction}
        oldest_first = sorted(entries, key=lambda transaction: entries[transaction].asked_at)
        horizon = now - HISTORY_S * 1000
        too_old = [transaction for transaction in oldest_first if entries[transaction].asked_at < horizon]
        gone = {*too_old, *oldest_first[:-_MAX_HISTORY]}
        if gone:
            fields = [field for transaction in gone for field in _fields(transaction)]
            self._execute_all([("HDEL", keys.commands(device), *fields)])
        return sum(
            entry.asked_at > now - LIFETIME_MS and transaction + b":answer" not in found
            for transaction, entry in entries.items()
        )

    def add(self, device: str, name: CommandName, command: Command) -> CommandState:
        """Queue a command and return its state."""
        entry = _Entry(name, self._now())
        transaction, key = command.transaction, keys.commands(device)
        once = int(isinstance(command, messages.ModelCommand) and command.rollback)
        self._execute_all(
            [
                ("HSET", key, transaction, msgspec.json.encode(entry)),
                ("EXPIRE", key, HISTORY_S),
                (
                    *("XADD", keys.COMMANDS, "*", "device", device, "name", name, "transaction", transaction),
                    *("payload", messages.encode(command), "once", once, "until", entry.asked_at + LIFETIME_MS),
                ),
            ]
        )
        return CommandState(transaction, name, entry.asked_at, sent=False, response=None)

    def find(self, device: str, transaction: str) -> CommandState | None:
        """Return the state of a command, or None if it is not known, or not any more."""
        if ":" in transaction:
            return None
        (found,) = self._execute_all([("HMGET", keys.commands(device), *_fields(transaction.encode(errors="replace")))])
        value, sent, answer = found
        if value is None:
            return None
        entry = _entry.decode(value)
        response = messages.decode(answer, CommandResponse) if answer else None
        reached = sent is not None or response is not None
        return CommandState(transaction, entry.name, entry.asked_at, reached, response)

    def add_erasure(self, device: str, generation: int) -> str:
        """Queue that a device was erased and goes on with another generation; return the id of that."""
        queued = full.command("XADD", keys.ERASURES, "*", "device", device, "generation", generation)
        (name, _) = self._execute_all([queued, full.command("SET", keys.ERASED, 1)])
        return str(name.decode())

    def due(self) -> list[DueCommand]:
        """Return what to publish now: erasures, and commands to devices that have not got them on this connection.

        Forgets commands that are answered or expired. A command may come twice, which a device notices by its
        transaction; but it does not remember transactions over a restart, so what must not happen twice is not sent to
        another boot.
        """
        erasures, commands = self._execute_all(
            [
                ("XRANGE", keys.ERASURES, "-", "+", "COUNT", _PAGE),
                ("XRANGE", keys.COMMANDS, self._next_page, "+", "COUNT", _PAGE),
            ]
        )
        self._next_page = f"({commands[-1][0].decode()}" if len(commands) == _PAGE else "-"
        return [*(_due_erasure(*entry) for entry in erasures), *self._due_commands(commands)]

    def _due_commands(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[DueCommand]:
        """Return the commands of a page that are due, and forget those that ended."""
        questions: list[tuple[Word, ...]] = []
        for _, fields in entries:
            device = fields[b"device"].decode()
            questions.append(("HMGET", keys.base(device), "state", "status_boot", "connection"))
            questions.append(("HMGET", keys.commands(device), *_fields(fields[b"transaction"])))
        if not questions:
            return []
        replies, now = self._execute_all(questions), self._now()
        due, ended = [], []
        for (name, fields), (state, boot, connection), (known, sent, answer) in zip(
            entries, replies[::2], replies[1::2], strict=True
        ):
            if known is None or answer is not None or int(fields[b"until"]) <= now:
                ended.append(name)
            elif state in _PRESENT:
                here = f"{boot.hex()}:{connection.decode()}"
                sent_to, _, sent_on = (sent or b"").decode().partition(":")
                new_boot, new_connection = sent_to != boot.hex(), f"{sent_to}:{sent_on}" != here
                if sent is None or (new_connection and not (new_boot and int(fields[b"once"]))):
                    due.append(_due_command(fields, here))
        if ended:
            self._execute_all([("XDEL", keys.COMMANDS, *ended)])
        return due

    def note_taken(self, taken: Iterable[DueCommand]) -> None:
        """Note what the broker has taken: an erasure is done, a command is sent on the device's connection."""
        asked: list[tuple[Word, ...]] = []
        for command in taken:
            if command.name == "erase":
                asked.append(("XDEL", keys.ERASURES, command.id))
            else:
                key = keys.commands(command.device)
                asked.append(("HSET", key, f"{command.id}:sent", command.connection))
                asked.append(("EXPIRE", key, HISTORY_S))
        if asked:
            self._execute_all(asked)


def new_transaction() -> str:
    """Return the transaction of a new command: hexadecimal digits that nobody guesses."""
    return secrets.token_hex(8)


def _fields(transaction: str | bytes) -> tuple[bytes, bytes, bytes]:
    """Return the names of a command's fields: what it is, where it was sent, and what was answered."""
    name = transaction if isinstance(transaction, bytes) else transaction.encode()
    return name, name + b":sent", name + b":answer"


def _due_command(fields: dict[bytes, bytes], connection: str) -> DueCommand:
    text = {key: fields[key].decode() for key in (b"device", b"transaction", b"name")}
    command: CommandName = msgspec.convert(text[b"name"], CommandName)
    return DueCommand(text[b"transaction"], text[b"device"], command, fields[b"payload"], connection)


def _due_erasure(name: bytes, fields: dict[bytes, bytes]) -> DueCommand:
    generation = messages.encode(Generation(gen=int(fields[b"generation"])))
    return DueCommand(name.decode(), fields[b"device"].decode(), "erase", generation, "")
