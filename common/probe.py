"""A doctor's look at a broker: what arrives in paho's network thread, for the thread that waits for it."""

import queue
from collections.abc import Callable
from typing import Any, TypeVar

import paho.mqtt.client as paho

T = TypeVar("T")


class Probe:
    """Takes what a client receives; waits for each answer at most `answer_s`."""

    def __init__(self, client: paho.Client, answer_s: float) -> None:
        self._answer_s = answer_s
        self._connected: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._subscribed: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._messages: dict[str, queue.SimpleQueue[bytes]] = {}
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self._connected.put(reason)
        client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: self._subscribed.put(reasons)
        client.on_message = lambda _client, _data, message: self._on(message.topic).put(bytes(message.payload))

    def connected(self) -> Any:
        """Return the broker's reason code for the connection.

        Raises:
            TimeoutError: it says nothing.
        """
        return _next(self._connected, self._answer_s)

    def refused(self, wanted: list[str]) -> list[str]:
        """Return which of the topics that were just subscribed to the broker refuses.

        Raises:
            TimeoutError: it says nothing.
        """
        reasons = _next(self._subscribed, self._answer_s)
        return [name for name, reason in zip(wanted, reasons, strict=False) if reason.is_failure]

    def message(self, topic: str, timeout_s: float | None = None) -> bytes | None:
        """Return the next message on a topic, leaving those on others for later; None if there is none in time."""
        try:
            return _next(self._on(topic), self._answer_s if timeout_s is None else timeout_s)
        except TimeoutError:
            return None

    def _on(self, topic: str) -> "queue.SimpleQueue[bytes]":
        return self._messages.setdefault(topic, queue.SimpleQueue())


def lets_in(client: paho.Client, connect: Callable[[], object], answer_s: float) -> bool:
    """Return whether a broker accepts a client; one that ends the connection, or says nothing, does not.

    Args:
        client: Not connected yet.
        connect: Connects it; what it raises goes on to the caller.
        answer_s: How long to wait for the broker's answer.
    """
    probe = Probe(client, answer_s)
    connect()
    client.loop_start()
    try:
        return not probe.connected().is_failure
    except TimeoutError:
        return False
    finally:
        client.disconnect()
        client.loop_stop()


def _next(answers: "queue.SimpleQueue[T]", timeout_s: float) -> T:
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty as error:
        raise TimeoutError from error
