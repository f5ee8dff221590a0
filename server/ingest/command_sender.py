"""Publishes the commands that are due, and remembers which of them the broker has taken."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import paho.mqtt.client as mqtt

from broker import topics
from server.ingest.connection import Connection
from server.store.command_queue import DueCommand

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class _InFlight:
    """A command whose messages are on their way to the broker."""

    command: DueCommand
    messages: list[mqtt.MQTTMessageInfo]
    deadline_s: float


class CommandSender:
    """The commands on their way to the broker.

    Args:
        connection: Where to publish.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._in_flight: dict[str, _InFlight] = {}

    def send(self, due: Iterable[DueCommand]) -> None:
        """Publish commands, but for those that are on their way."""
        for command in due:
            if command.id not in self._in_flight:
                messages = [
                    self._connection.publish(topic, payload, retain=retain)
                    for topic, payload, retain in _messages(command)
                ]
                self._in_flight[command.id] = _InFlight(command, messages, time.monotonic() + _TIMEOUT_S)

    def taken(self) -> list[DueCommand]:
        """Return the commands that the broker has taken.

        Forget those that take too long: they are due again.
        """
        taken: list[DueCommand] = []
        for one in list(self._in_flight.values()):
            if all(_is_published(message) for message in one.messages):
                taken.append(one.command)
            elif time.monotonic() >= one.deadline_s:
                del self._in_flight[one.command.id]
        return taken

    def forget(self, noted: Iterable[DueCommand]) -> None:
        """Forget commands, because the store knows that the broker has taken them."""
        for command in noted:
            del self._in_flight[command.id]
            log.info("sent %s the command %s", topics.mac_address(command.device), command.name)


def _messages(command: DueCommand) -> Iterator[tuple[str, bytes, bool]]:
    """Yield topic, payload and whether to retain it.

    The broker keeps the generation for an erased device, and forgets what it retains of that. The status goes last: a
    live device that sees it cleared says everything again, and must not be overtaken.
    """
    if command.name == "erase":
        yield topics.topic(command.device, "generation"), command.payload, True
        yield topics.home_assistant(command.device), b"", True
        yield topics.topic(command.device, "state"), b"", True
        yield topics.topic(command.device, "health"), b"", True
        yield topics.topic(command.device, "status"), b"", True
    else:
        yield topics.command(command.device, command.name), command.payload, False


def _is_published(message: mqtt.MQTTMessageInfo) -> bool:
    """Return whether the broker has acknowledged a message."""
    try:
        return message.is_published()
    except (ValueError, RuntimeError):  # paho was not connected, or its queue was full: the command is due again
        return False
