"""What a device says and hears at the broker: status, records from the outbox, confirmations, commands."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from broker import topics
from broker.messages import (
    CommandResponse,
    Generation,
    Health,
    Live,
    ServerStatus,
    Status,
    Stored,
    WireError,
    decode,
    encode,
    join,
)
from broker.topics import CommandName
from device.delivery.connection import Connection
from device.delivery.home_assistant import HomeAssistant
from device.delivery.outbox import Outbox
from device.delivery.row import Row
from device.delivery.send_window import SendWindow
from device.settings import DeviceSettings

log = logging.getLogger(__name__)

RESEND_CHECK_S = 1.0
"""How often to look whether a confirmation is overdue, or a live state waits."""
GOODBYE_S = 2.0
MAX_UNACKNOWLEDGED = 20
"""Messages that the broker may leave unanswered before no more are handed over; bounds the queue in memory."""


class Session:
    """One device's conversation, kept up in the background from `start` to `stop`.

    Args:
        settings: Where the broker is, how to log in, who confirms.
        device: The device's id.
        status: What to say of the device at first; `set_status` changes it.
        outbox: What is to be sent.
        on_command: Takes a command's name and payload; called in the network thread, so it must only enqueue.

    Raises:
        ValueError: the broker's URL or a certificate cannot be used.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        device: str,
        status: Status,
        outbox: Outbox,
        on_command: Callable[[CommandName, bytes], None],
    ) -> None:
        self._device = device
        self._status = status
        self._outbox = outbox
        self._on_command = on_command
        self._send_window = SendWindow(outbox)
        self._wake = threading.Condition()  # nothing is published while it is held: see Connection._on_publish
        self._connected = False
        self._server_online = False
        self._stopping = False
        self._broker_confirms = settings.confirm == "broker"
        self._on_way: dict[int, list[Row]] = {}
        self._home_assistant = HomeAssistant(device, on=settings.home_assistant, state_dir=settings.state_dir)
        # A client id of its own per boot: two devices that share an id by mistake must not throw each other out.
        client_id = f"moodwire-{device}-{status.boot[:8]}"
        self._connection = Connection(settings, client_id, settings.mqtt_username or device, self)
        self._handlers: dict[str, Callable[[bytes], None]] = {
            topics.topic(device, "stored"): self._on_stored,
            topics.topic(device, "generation"): self._on_generation,
            topics.topic(device, "status"): self._on_own_status,
            topics.SERVER_STATUS: self._on_server_status,
        }
        if settings.home_assistant:
            self._handlers[topics.HOME_ASSISTANT_STATUS] = self._on_home_assistant
        self._commands: dict[str, CommandName] = {topics.command(device, name): name for name in topics.COMMANDS}
        self._sender = threading.Thread(target=self._send, name="sender", daemon=True)

    def start(self) -> None:
        """Connect, and go on trying while that fails."""
        self._connection.start()
        self._sender.start()

    def notify(self) -> None:
        """Say that there is something new in the outbox."""
        with self._wake:
            self._wake.notify_all()

    def publish_health(self, health: Health) -> None:
        """Publish how the device is, if connected; the next minute brings the next one."""
        if self._connected:
            self._connection.publish(topics.topic(self._device, "health"), encode(health), qos=0, retain=True)

    def publish_live(self, live: Live) -> None:
        """Take what is heard now, for home automation; it goes out at most every ten seconds, and only if wanted.

        Call it for every window, and every few seconds while the device is paused: what nobody repeats expires.
        """
        self._home_assistant.hear(live)

    def set_status(
        self,
        *,
        state: Literal["online", "paused"] | None = None,
        name: str | None = None,
        labels: tuple[str, ...] | None = None,
        model: str | None = None,
    ) -> None:
        """Change what is said of this device, now if connected, and at every connect; what is None stays."""
        asked = {"state": state, "name": name, "labels": labels, "model": model}
        with self._wake:
            before = self._status
            self._status = replace(before, **{field: value for field, value in asked.items() if value is not None})
        if self._connected and self._status != before:
            self._say_status()

    def answer(self, name: CommandName, response: CommandResponse) -> None:
        """Publish how a command ended; later when there is no connection now."""
        self._connection.publish(topics.command_response(self._device, name), encode(response))

    def drain(self, timeout_s: float) -> int:
        """Wait until everything is confirmed, and return how many rows still wait."""
        with self._wake:
            self._wake.wait_for(lambda: self._outbox.waiting()[0] == 0, timeout_s)
        return self._outbox.waiting()[0]

    def stop(self) -> None:
        """Say goodbye and disconnect; what is in the outbox waits for the next start."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._sender.join()
        if self._connected:  # else the last will has said it
            goodbye = encode(replace(self._status, state="offline"))
            self._connection.say_goodbye(topics.topic(self._device, "status"), goodbye, GOODBYE_S)
        self._connection.stop()

    def will(self) -> tuple[str, bytes]:
        """Number the connection, so that the last will of an older one is recognised as stale."""
        with self._wake:
            self._status = replace(self._status, connection=self._status.connection + 1)
        return topics.topic(self._device, "status"), encode(replace(self._status, state="offline"))

    def begin(self) -> None:
        """Say that the device is there, and listen."""
        self._say_status()  # first, so that what is heard on the own topic is what was just said
        self._connection.subscribe([*self._handlers, *self._commands])
        self._home_assistant.begin()
        with self._wake:
            self._send_window.start_over()
            self._connected = True
            self._wake.notify_all()

    def end(self) -> None:
        """Send nothing until the connection is back."""
        self._home_assistant.end(time.monotonic())
        with self._wake:
            self._connected = False
            self._server_online = False

    def hear(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Pass a message on to who knows what it means."""
        if topic in self._commands:
            if retained:
                log.warning("ignored a retained message on %s: a command is for once, not for every connect", topic)
            else:
                self._on_command(self._commands[topic], payload)
            return
        try:
            self._handlers.get(topic, _ignore)(payload)
        except WireError as error:
            log.warning("ignored a message on %s: %s", topic, error)

    def acknowledged(self) -> None:
        """Let the sender look at what the broker has answered."""
        self.notify()

    def _say_status(self) -> None:
        self._connection.publish(topics.topic(self._device, "status"), encode(self._status), retain=True)

    def _on_stored(self, payload: bytes) -> None:
        answer = decode(payload, Stored)
        settled = [*answer.stored, *answer.expired, *answer.erased]
        self._outbox.confirm(answer.boot, settled)
        for first, last, why in answer.refused:
            log.warning("the server refuses records %d to %d of boot %s: %s", first, last, answer.boot, why)
            self._outbox.refuse(answer.boot, first, last, why)
            settled.append((first, last))
        with self._wake:
            self._send_window.settled(answer.boot, settled)
            self._wake.notify_all()

    def _on_generation(self, payload: bytes) -> None:
        if payload:
            generation = decode(payload, Generation).gen
            erased = self._outbox.raise_generation(generation)
            if erased:
                log.info("someone deleted this device's data; %d waiting records erased", erased)

    def _on_own_status(self, payload: bytes) -> None:
        """Say again what was said when the broker holds something else.

        That is the case when an earlier connection's or process's last will arrives late, and when an erasure has
        cleared the status, and with it what Home Assistant was told.
        """
        if self._stopping or not self._connected:
            return
        seen = decode(payload, Status) if payload else None
        if seen is None:
            self._home_assistant.begin()
            self.notify()
        elif seen.state != "offline" and (seen.boot != self._status.boot or seen == self._status):
            return
        log.info("the retained status is not this device's; saying again that it is %s", self._status.state)
        self._say_status()

    def _on_server_status(self, payload: bytes) -> None:
        online = bool(payload) and decode(payload, ServerStatus).state == "online"
        if online != self._server_online and not self._broker_confirms:
            log.info("the server is %s", "online" if online else "away; readings wait in the outbox")
        with self._wake:
            if not online:
                self._send_window.start_over()
            self._server_online = online
            self._wake.notify_all()

    def _on_home_assistant(self, payload: bytes) -> None:
        if payload == b"online":
            self._home_assistant.begin()
            self.notify()

    def _send(self) -> None:
        while True:
            self._take_acknowledgements()
            if self._connected:
                for topic, payload in self._home_assistant.due(self._status, time.monotonic()):
                    self._connection.publish(topic, payload, retain=True)
            with self._wake:
                if self._stopping:
                    return
                rows = self._next_rows()
                if not rows:
                    if not self._connection.has_acknowledgements:
                        self._wake.wait(RESEND_CHECK_S)
                    continue
            payload = join([row.payload for row in rows])
            mid = self._connection.publish(topics.topic(self._device, rows[0].kind), payload)
            if self._broker_confirms:
                self._on_way[mid] = rows

    def _next_rows(self) -> list[Row]:
        """Return what to send now; nothing while nobody confirms."""
        if not self._connected or self._connection.unacknowledged >= MAX_UNACKNOWLEDGED:
            return []
        if not (self._server_online or self._broker_confirms):
            return []
        return self._send_window.next_batch()

    def _take_acknowledgements(self) -> None:
        """Forget what the broker has, where the broker is who confirms."""
        for answer in self._connection.acknowledgements():
            rows = self._on_way.pop(answer.mid, [])
            if answer.refused:
                continue
            self._home_assistant.acknowledged(answer.topic)
            with self._wake:
                self._send_window.confirmed(rows)
                self._wake.notify_all()


def _ignore(_payload: bytes) -> None:
    """Take what nobody asked for; a bridge or a shared account may bring it."""
