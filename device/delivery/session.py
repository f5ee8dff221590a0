"""What a device publishes and subscribes to: status, records from the outbox, confirmations, commands."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, TypedDict, Unpack

from msgspec.structs import replace

from broker import topics
from broker.messages import (
    CommandResponse,
    Generation,
    Health,
    LiveState,
    ServerStatus,
    ServerView,
    Status,
    Stored,
    WireError,
    decode,
    encode,
    join,
)
from broker.topics import CommandName
from common.outage import Outage
from device.delivery.connection import Connection
from device.delivery.home_assistant import HomeAssistant
from device.delivery.outbox import UNDATED, Outbox
from device.delivery.row import Row
from device.delivery.send_window import Message, SendWindow
from device.settings import DeviceSettings

log = logging.getLogger(__name__)

CHECK_S = 1.0
"""How often to look whether a row is to be sent again, or something for Home Assistant is due."""
GOODBYE_S = 2.0
SILENCE_S = 10.0
"""How long a broker may take to tell the server's status before that is a fault."""
CORRECT_S = 10.0
"""From one correction of a malformed status to the next, so that two devices with one id do not fight over it."""


class StatusChanges(TypedDict, total=False):
    """What may change in the status of a running device, as `Status` describes it."""

    state: Literal["online", "paused"]
    name: str
    labels: tuple[str, ...]
    model: str
    gate_dbfs: float | None
    models: tuple[str, ...]
    can_roll_back: bool


class Session:
    """One device's conversation with broker and server, kept up in the background from `start` to `stop`.

    Args:
        settings: The broker's URL, the login, who confirms.
        device: The device's id.
        status: The status to begin with; `set_status` changes it.
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
        self.on_erased: Callable[[int], None] = ignore
        """Takes the new erase generation when someone has deleted this device's data; called in the network thread."""
        self._send_window = SendWindow(outbox)
        self._postponed = Outage(log)
        self._acknowledgements: deque[tuple[int, str | None]] = deque()
        """Packet identifiers, each with the reason if the broker refused the message."""
        # paho calls `on_acknowledged` with a lock held that it needs to publish. So publish nothing while `_wake` is
        # held, and take `_publishing` in no callback for acknowledgements.
        self._wake = threading.Condition()
        self._publishing = threading.Lock()
        self._connected = False
        self._server: ServerView = "missing"
        self._server_since_s = 0.0
        """When the view became what it is, or the connection was made."""
        self._server_logged: ServerView | None = None
        self._correct_at_s = math.inf
        """When to publish the status over a malformed one."""
        self._corrected_s = -math.inf
        self._stopping = False
        self._broker_confirms = settings.confirm == "broker"
        self._home_assistant = HomeAssistant(
            device, on=settings.home_assistant, state_dir=settings.state_dir, dashboard_url=settings.dashboard_url
        )
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

    @property
    def server(self) -> ServerView | None:
        """What this device knows of the server; None if it needs none."""
        return None if self._broker_confirms else self._server

    def start(self) -> None:
        """Connect, and go on trying while that fails."""
        self._connection.start()
        self._sender.start()

    def notify(self) -> None:
        """Wake the sender, because there is something new in the outbox."""
        with self._wake:
            self._wake.notify_all()

    def publish_health(self, health: Health) -> None:
        """Publish the health of the device, if connected; the next minute brings the next one."""
        if self._connected:
            self._connection.publish(topics.topic(self._device, "health"), encode(health), qos=0, retain=True)

    def publish_live(self, live: LiveState) -> None:
        """Take what is heard now, for Home Assistant; it is published at most every ten seconds, if at all.

        Call it for every window, and every few seconds while the device is paused: an old state expires.
        """
        self._home_assistant.update(live)

    def set_status(self, **changes: Unpack[StatusChanges]) -> None:
        """Change the status, and publish it now if connected, and at every connect."""
        with self._wake:
            before = self._status
            self._status = replace(before, **changes)
        if self._connected and self._status != before:
            if self._home_assistant.is_due(self._status):
                self.notify()  # the sender publishes the announcement, and the status after it
            else:
                self._publish_status()

    def answer(self, name: CommandName, response: CommandResponse) -> None:
        """Publish how a command ended; later when there is no connection now."""
        self._publish(topics.command_response(self._device, name), encode(response))

    def drain(self, timeout_s: float) -> int:
        """Wait until everything is confirmed, and return how many rows still wait."""
        with self._wake:
            self._wake.wait_for(lambda: self._outbox.waiting()[0] == 0, timeout_s)
        return self._outbox.waiting()[0]

    def stop(self) -> None:
        """Publish that the device is offline, and disconnect; the outbox waits for the next start."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        self._sender.join()
        if self._connected:  # else the last will says it
            goodbye = encode(replace(self._status, state="offline"))
            self._connection.publish_last(topics.topic(self._device, "status"), goodbye, GOODBYE_S)
        self._connection.stop()

    def last_will(self) -> tuple[str, bytes]:
        """Number the connection that is about to be made, so that the last will of an older one shows as stale."""
        with self._wake:
            self._status = replace(self._status, connection=self._status.connection + 1)
        return topics.topic(self._device, "status"), encode(replace(self._status, state="offline"))

    def on_connected(self) -> None:
        """Publish that the device is online, and subscribe."""
        self._publish_status()  # first, so that the own topic then brings this very status
        self._connection.subscribe([*self._handlers, *self._commands])
        self._home_assistant.publish_again()
        with self._wake:
            self._send_window.resend_all()
            self._connected = True
            self._server_since_s = time.monotonic()
            self._wake.notify_all()

    def on_disconnected(self) -> None:
        """Send nothing until the connection is back."""
        self._home_assistant.on_disconnected(time.monotonic())
        with self._wake:
            self._connected = False
            self._server = "missing"
            if self._server_logged == "online":
                self._server_logged = None

    def on_message(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Pass a message on to its handler."""
        if topic in self._commands:
            if retained:
                log.warning("ignored a retained command on %s; publish commands without the retain flag", topic)
            else:
                self._on_command(self._commands[topic], payload)
            return
        if retained and topic == topics.topic(self._device, "stored"):
            log.warning("ignored a retained confirmation on %s; publish it without the retain flag", topic)
            return
        try:
            self._handlers.get(topic, _ignore)(payload)
        except WireError as error:
            log.warning("ignored a message on %s: %s", topic, error)

    def on_acknowledged(self, packet_id: int, refusal: str | None) -> None:
        """Leave to the sender what the broker has acknowledged or refused."""
        self._acknowledgements.append((packet_id, refusal))
        self.notify()

    def _publish(self, topic: str, payload: bytes, *, rows: Sequence[Row] = (), retain: bool = False) -> None:
        """Publish at QoS 1; later when there is no connection now."""
        with self._publishing:
            packet_id = self._connection.publish(topic, payload, retain=retain)
            self._send_window.published(packet_id, Message(topic, rows))

    def _publish_status(self) -> None:
        self._publish(topics.topic(self._device, "status"), encode(self._status), retain=True)

    def _on_stored(self, payload: bytes) -> None:
        answer = decode(payload, Stored)
        self._confirm(answer.boot, [*answer.stored, *answer.erased])
        undated = sum(self._outbox.expire(answer.boot, first, last) for first, last in answer.expired)
        if undated:
            log.warning("%d records are set aside: %s", undated, UNDATED)
        self._confirm(answer.boot, answer.expired)
        for first, last, why in answer.refused:
            log.warning("the server refuses records %d to %d of boot %s: %s", first, last, answer.boot, why)
            self._outbox.refuse(answer.boot, first, last, why)
            self._confirm(answer.boot, [(first, last)])
        with self._wake:
            for first, last, _ in answer.later:
                self._send_window.postpone(answer.boot, first, last)
        if answer.later:
            self._postponed.begin("the server takes records later: %s; they wait in the outbox", answer.later[0][2])
        elif answer.stored:
            self._postponed.end("the server takes records again")

    def _confirm(self, boot: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Delete rows from the outbox, and make room for others in flight."""
        self._outbox.confirm(boot, ranges)
        with self._wake:
            self._send_window.confirmed(boot, ranges)
            self._wake.notify_all()

    def _on_generation(self, payload: bytes) -> None:
        if payload:
            generation = decode(payload, Generation).gen
            is_new = generation > self._outbox.generation
            erased = self._outbox.raise_generation(generation)
            if is_new:
                self.on_erased(generation)
            if erased:
                log.info("someone deleted this device's data; %d waiting records erased", erased)

    def _on_own_status(self, payload: bytes) -> None:
        """Publish the status again when the broker retains another.

        That happens when the last will of an earlier connection or process arrives late, when an erasure has cleared
        the status, and with it what Home Assistant was told, and when something malformed was published there.
        """
        if self._stopping or not self._connected:
            return
        if payload and (reason := _why_malformed(payload, Status)):
            log.warning("another status of this device is retained, a malformed one (%s); publishing it again", reason)
            with self._wake:
                self._correct_at_s = max(time.monotonic(), self._corrected_s + CORRECT_S)
                self._wake.notify_all()
            return
        seen = decode(payload, Status) if payload else None
        if seen is None:
            self._home_assistant.publish_again()
            self.notify()
        elif seen.state != "offline" and (seen.boot != self._status.boot or seen == self._status):
            return
        log.info("another status of this device is retained; publishing again that it is %s", self._status.state)
        self._publish_status()

    def _on_server_status(self, payload: bytes) -> None:
        reason = _why_malformed(payload, ServerStatus)
        view: ServerView = "malformed" if reason else decode(payload, ServerStatus).state
        with self._wake:
            if view != "online":
                self._send_window.resend_all()
            self._server = view if payload else "missing"
            self._server_since_s = time.monotonic()
            self._wake.notify_all()
        if payload:
            self._log_server(reason)

    def _log_server(self, reason: str = "") -> None:
        """Log once what this device knows of the server, if it needs one."""
        if self._broker_confirms or self._server == self._server_logged:
            return
        self._server_logged = self._server
        if self._server == "online":
            log.info("the server is online")
        elif self._server == "offline":
            log.info("the server is away; readings wait in the outbox")
        elif self._server == "malformed":
            log.warning(
                "%s holds no status of a server (%s); readings wait in the outbox until ingest publishes it again",
                topics.SERVER_STATUS,
                reason,
            )
        else:
            log.warning(
                "the broker tells of no server; readings wait in the outbox: start moodwire server ingest, and let "
                "this device read %s",
                topics.SERVER_STATUS,
            )

    def _on_home_assistant(self, payload: bytes) -> None:
        if payload == b"online":
            self._home_assistant.publish_again()
            self.notify()

    def _send(self) -> None:
        while True:
            self._take_acknowledgements()
            if self._connected:
                for topic, payload in self._home_assistant.due(self._status, time.monotonic()):
                    self._publish(topic, payload, retain=True)
                now_s = time.monotonic()
                if self._server == "missing" and now_s >= self._server_since_s + SILENCE_S:
                    self._log_server()
                if now_s >= self._correct_at_s:
                    self._correct_at_s, self._corrected_s = math.inf, now_s
                    self._publish_status()
            with self._wake:
                if self._stopping:
                    return
                may_send = self._connected and (self._server == "online" or self._broker_confirms)
                rows = self._send_window.next_batch() if may_send else []
                if not rows:
                    if not self._acknowledgements:
                        self._wake.wait(CHECK_S)
                    continue
            payload = join([row.payload for row in rows])
            self._publish(topics.topic(self._device, rows[0].kind), payload, rows=rows)

    def _take_acknowledgements(self) -> None:
        """Count what the broker has acknowledged as no longer in flight; confirm it where the broker confirms."""
        while self._acknowledgements:
            packet_id, refusal = self._acknowledgements.popleft()
            with self._publishing:  # an acknowledgement may come before `_publish` has counted its message
                message = self._send_window.acknowledged(packet_id)
            if message is None:
                continue
            if refusal is not None:
                self._connection.report_refused(message.topic, "publish on", refusal)
                continue
            self._home_assistant.on_acknowledged(message.topic)
            if self._broker_confirms:
                for boot, ranges in message.ranges().items():
                    self._confirm(boot, ranges)


def ignore(_generation: int) -> None:
    """Do nothing more about an erasure."""


def _why_malformed(payload: bytes, kind: type[Status] | type[ServerStatus]) -> str:
    """Return why this is no such message; empty if it is one."""
    try:
        decode(payload, kind)
    except WireError as error:
        return str(error)
    return ""


def _ignore(_payload: bytes) -> None:
    """Ignore a message that this device has not subscribed to; a bridge or a shared account may bring it."""
