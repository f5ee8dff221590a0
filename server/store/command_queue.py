"""What operators ask of devices: waits in the store until ingest has sent it and the device has answered.

A broker forgets what it cannot deliver at once to a device without a lasting session, so an order waits here until the
device says that it is there, and goes again on each new connection until it is answered or no longer wanted.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from broker import messages
from broker.messages import Command, CommandResponse
from broker.topics import CommandName
from server.store import keys

LIFETIME_MS = 300_000
"""How long an order may wait for its device; after that nobody expects any more that it happens."""
HISTORY_S = 3600
"""How long after the last order of a device it can be asked how they ended."""
MAX_WAITING = 20
"""Orders of one device that are not answered yet."""
_MAX_HISTORY = 100
_PAGE = 200
"""Of all that wait, so many are looked at each time, one part after the other: no device holds up the others."""
_PRESENT = (b"online", b"paused")

AskAll = Callable[[Sequence[tuple[str | int | bytes, ...]]], list[Any]]


class _Entry(msgspec.Struct, frozen=True):
    """What the device's hash keeps of an order."""

    name: CommandName
    asked_at: int


@dataclass(frozen=True)
class DueCommand:
    """A command that ingest shall publish now."""

    id: str
    """The transaction."""
    device: str
    name: CommandName
    payload: bytes
    connection: str
    """Boot and number of the connection of the device that is to get it."""


@dataclass(frozen=True)
class CommandState:
    """An order as those see it who gave it; times in Unix ms."""

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
    """The orders of all devices.

    Every method raises `StoreAwayError` when the store cannot answer.

    Args:
        ask_all: Carries out commands of the store and returns their replies.
        now: Returns the store's clock, Unix ms.
    """

    def __init__(self, ask_all: AskAll, now: Callable[[], int]) -> None:
        self._ask_all = ask_all
        self._now = now
        self._looked_at = "-"

    def waiting(self, device: str) -> int:
        """Return how many orders of a device are wanted and not answered; forget those that are too many or too old."""
        now = self._now()
        (found,) = self._ask_all([("HGETALL", _key(device))])
        entries = {
            transaction: msgspec.json.decode(value, type=_Entry)
            for transaction, value in found.items()
            if b":" not in transaction
        }
        oldest_first = sorted(entries, key=lambda transaction: entries[transaction].asked_at)
        horizon = now - HISTORY_S * 1000
        too_old = [transaction for transaction in oldest_first if entries[transaction].asked_at < horizon]
        gone = {*too_old, *oldest_first[:-_MAX_HISTORY]}
        if gone:
            fields = [field for transaction in gone for field in _fields(transaction)]
            self._ask_all([("HDEL", _key(device), *fields)])
        return sum(
            entry.asked_at > now - LIFETIME_MS and transaction + b":answer" not in found
            for transaction, entry in entries.items()
        )

    def add(self, device: str, name: CommandName, command: Command) -> CommandState:
        """Let a command wait for its device."""
        entry = _Entry(name, self._now())
        transaction, key = command.transaction, _key(device)
        once = int(isinstance(command, messages.ModelCommand) and command.rollback)
        self._ask_all(
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
        """Return an order, or None if it is not known, or not any more."""
        if ":" in transaction:
            return None
        (found,) = self._ask_all([("HMGET", _key(device), *_fields(transaction.encode(errors="replace")))])
        value, sent, answer = found
        if value is None:
            return None
        entry = msgspec.json.decode(value, type=_Entry)
        response = messages.decode(answer, CommandResponse) if answer else None
        reached = sent is not None or response is not None
        return CommandState(transaction, entry.name, entry.asked_at, reached, response)

    def due(self) -> list[DueCommand]:
        """Return the orders whose devices are there and have not got them on this connection; forget those that ended.

        An order may come twice, which a device notices by its transaction; but it does not remember transactions over
        a restart, so what must not happen twice is not sent to another boot.
        """
        (entries,) = self._ask_all([("XRANGE", keys.COMMANDS, self._looked_at, "+", "COUNT", _PAGE)])
        self._looked_at = f"({entries[-1][0].decode()}" if len(entries) == _PAGE else "-"
        if not entries:
            return []
        questions: list[tuple[str | int | bytes, ...]] = []
        for _, fields in entries:
            device = fields[b"device"].decode()
            questions.append(("HMGET", keys.base(device), "state", "status_boot", "connection"))
            questions.append(("HMGET", _key(device), *_fields(fields[b"transaction"])))
        replies, now = self._ask_all(questions), self._now()
        found, ended = [], []
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
                    found.append(_order(fields, here))
        if ended:
            self._ask_all([("XDEL", keys.COMMANDS, *ended)])
        return found

    def note_sent(self, order: DueCommand) -> None:
        """Note that the broker has taken an order."""
        key = _key(order.device)
        self._ask_all([("HSET", key, f"{order.id}:sent", order.connection), ("EXPIRE", key, HISTORY_S)])


def new_transaction() -> str:
    """Return what names a new order: hexadecimal digits that nobody guesses."""
    return secrets.token_hex(8)


def _key(device: str) -> str:
    return f"{keys.base(device)}:orders"


def _fields(transaction: str | bytes) -> tuple[bytes, bytes, bytes]:
    """Return the names of an order's fields: what it is, where it was sent, and what was answered."""
    name = transaction if isinstance(transaction, bytes) else transaction.encode()
    return name, name + b":sent", name + b":answer"


def _order(fields: dict[bytes, bytes], connection: str) -> DueCommand:
    text = {key: fields[key].decode() for key in (b"device", b"transaction", b"name")}
    command: CommandName = msgspec.convert(text[b"name"], CommandName)
    return DueCommand(text[b"transaction"], text[b"device"], command, fields[b"payload"], connection)
