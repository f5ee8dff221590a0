"""Simulated devices for `moodwire demo --fleet`: they speak MQTT as real ones do, and hear nothing.

Their names, models and versions say that they are simulated. Each has a day of its own and thirty days of history, sent
the newest day first, and confirmed by the server like any backlog. A run that was cut off sends the same records again,
which are then stored once.
"""

import argparse
import hashlib
import json
import logging
import math
import random
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import paho.mqtt.client as paho

from broker import messages, topics
from broker.messages import (
    Command,
    CommandResponse,
    DeviceState,
    Generation,
    Health,
    Heard,
    ModelCommand,
    Reading,
    ServerStatus,
    SetCommand,
    Status,
    Stored,
)
from common import files, mqtt
from wiring.personas import PERSONAS, Persona

log = logging.getLogger(__name__)

MOST = 24
DAYS = 30
_MARK = "simulated"
_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
_RECENT_MS, _RECENT_STEP_MS = 2 * 3_600_000, 1_000
_STEP_MS = 10_000
"""Between two readings of the past; fewer than a real device's, so that a month is there within minutes."""
_QUIET_MS = 10 * _MINUTE_MS
"""Heard records of the past without speech are as long as the contract allows."""
_LEAST_TALK = 0.12
"""Less than this is silence."""
_UNCONFIRMED_BATCHES = 64
_RESEND_S = 20.0
_SURE = 0.5


def device_ids(count: int) -> list[str]:
    """Return the ids of simulated devices, locally administered addresses."""
    return [f"02fc51{number:06x}" for number in range(1, count + 1)]


@dataclass
class _Batch:
    """Records that are sent again until the server has confirmed all of them."""

    kind: str
    payload: bytes
    boot: str
    seqs: set[int]
    """Without those that are confirmed."""
    sent_s: float = -math.inf


class Simulation:
    """One simulated device.

    Args:
        device: Its id.
        persona: What is special about it.
        folder: Keeps when its history ends.
    """

    def __init__(self, device: str, persona: Persona, folder: Path) -> None:
        self.device = device
        self.persona = persona
        self.name = f"{persona.name} ({_MARK})"
        self.state = persona.state
        self._generation = 0
        self._kept = folder / f"{device}.json"
        self._boot = f"{random.getrandbits(64):016x}"
        self._seq = 0
        self._lock = threading.Lock()
        self._unconfirmed: list[_Batch] = []
        self._confirmed = threading.Event()
        self._server_online = threading.Event()
        self._client: paho.Client | None = None

    def connect(self, endpoint: mqtt.Endpoint, password: str) -> None:
        """Connect, and stay connected in a thread."""
        client = mqtt.client(self.device, password, None, client_id=self.device)
        client.will_set(topics.topic(self.device, "status"), self._status("offline"), qos=1, retain=True)
        client.on_connect = lambda *_: self._greet()
        client.on_message = lambda _client, _data, message: self._take(message.topic, bytes(message.payload))
        client.max_inflight_messages_set(100)
        self._client = client
        client.connect_async(endpoint.host, endpoint.port)
        client.loop_start()

    def stop(self) -> None:
        """Say goodbye."""
        assert self._client is not None
        self._publish("status", self._status("offline"), retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def remember(self, stop: threading.Event) -> Iterator[int]:
        """Send the history, the newest day first, unless it is all there; yield after each stretch."""
        kept = {"end": _now() // _MINUTE_MS * _MINUTE_MS}
        if self._kept.exists():
            kept = json.loads(self._kept.read_text())
        if kept.get("done"):
            return
        files.replace(self._kept, json.dumps(kept).encode())
        boot = hashlib.sha256(f"history {self.device} {kept['end']}".encode()).hexdigest()[:16]
        while not stop.is_set() and not self._server_online.wait(0.5):
            pass
        seq, edges = 0, [0, _RECENT_MS, *(day * _DAY_MS for day in range(1, DAYS + 1))]
        for nearer, farther in pairwise(edges):
            records = list(self._stretch(boot, seq, kept["end"] - farther, kept["end"] - nearer))
            seq += len(records)
            for batch in _batches(records):
                self._send(batch, stop)
            if stop.is_set():
                return
            yield farther
        self._wait_for_confirmations(0, stop)
        if stop.is_set():
            return
        files.replace(self._kept, json.dumps(kept | {"done": True}).encode())

    def speak(self, now: int) -> None:
        """Send what a device hears in the second that has just passed."""
        if self.state != "online":
            return
        talk = self._talk(now)
        if random.random() < talk:  # noqa: S311 - no secret
            self._publish("reading", messages.encode(self._reading(self._boot, self._next(), now)))
        if now // 1000 % 60 == zlib.crc32(self.device.encode()) % 60:
            self._publish("heard", messages.encode(self._heard(self._boot, self._next(), now, _MINUTE_MS, talk)))
            self._publish("health", messages.encode(self._health()), retain=True)

    def _greet(self) -> None:
        assert self._client is not None
        kinds: tuple[topics.ToDevice, ...] = ("stored", "generation")
        wanted = [topics.topic(self.device, kind) for kind in kinds]
        wanted += [topics.command(self.device, name) for name in topics.COMMANDS]
        wanted.append(topics.SERVER_STATUS)
        self._client.subscribe([(topic, 1) for topic in wanted])
        self._publish("status", self._status(self.state), retain=True)
        self._publish("health", messages.encode(self._health()), retain=True)

    def _take(self, topic: str, payload: bytes) -> None:
        """Take a message of the server."""
        kind = topic.removeprefix(topics.topic(self.device, "stored").removesuffix("stored"))
        if topic == topics.SERVER_STATUS:
            if payload and messages.decode(payload, ServerStatus).state == "online":
                self._server_online.set()
        elif kind == "stored":
            found = messages.decode(payload, Stored)
            ranges = [*found.stored, *found.expired, *found.erased, *((low, high) for low, high, _ in found.refused)]
            confirmed = {seq for low, high in ranges for seq in range(low, high + 1)}
            with self._lock:
                for batch in self._unconfirmed:
                    if batch.boot == found.boot:
                        batch.seqs -= confirmed
                self._unconfirmed = [batch for batch in self._unconfirmed if batch.seqs]
            self._confirmed.set()
        elif kind == "generation":
            self._generation = messages.decode(payload, Generation).gen
        elif kind.removeprefix("cmd/") in topics.COMMANDS:
            self._obey(kind.removeprefix("cmd/"), payload)

    def _obey(self, name: str, payload: bytes) -> None:
        """Carry out a command and answer it."""
        known: dict[str, type[Command]] = {"set": SetCommand, "model": ModelCommand}
        command = messages.decode(payload, known.get(name, Command))
        error = None
        if name in ("pause", "resume"):
            self.state = "paused" if name == "pause" else "online"
        elif isinstance(command, SetCommand):
            self.name = command.name or self.name
            self.name = self.name if _MARK in self.name else f"{self.name} ({_MARK})"
        else:
            error = "a simulated device has no model to change"
        answer = CommandResponse(transaction=command.transaction, status="error" if error else "ok", error=error)
        self._publish(f"cmd/{name}/response", messages.encode(answer))
        self._publish("status", self._status(self.state), retain=True)

    def _send(self, records: list[Reading | Heard], stop: threading.Event) -> None:
        """Send records of one kind, and wait until not many are unconfirmed."""
        kind = "reading" if isinstance(records[0], Reading) else "heard"
        payload = messages.join([messages.encode(record) for record in records])
        batch = _Batch(kind, payload, records[0].boot, {record.seq for record in records})
        with self._lock:
            self._unconfirmed.append(batch)
        self._wait_for_confirmations(_UNCONFIRMED_BATCHES, stop)

    def _wait_for_confirmations(self, most: int, stop: threading.Event) -> None:
        """Wait until at most so many batches are unconfirmed; send those that are new, and those that have waited."""
        while not stop.is_set():
            now_s = time.monotonic()
            with self._lock:
                waiting = len(self._unconfirmed)
                due = [batch for batch in self._unconfirmed if now_s - batch.sent_s > _RESEND_S]
            for batch in due:
                batch.sent_s = now_s
                self._publish(batch.kind, batch.payload)
            if waiting <= most:
                return
            self._confirmed.wait(0.2)
            self._confirmed.clear()

    def _stretch(self, boot: str, seq: int, at: int, end: int) -> Iterator[Reading | Heard]:
        """Yield the records between two times (Unix ms); an offline device has been so for three hours."""
        recent = _now() - _RECENT_MS - _MINUTE_MS
        last = min(end, _now() - 3 * 3_600_000) if self.persona.state == "offline" else end
        while at < last:
            talk = self._talk(at)
            minutes = range(at, min(last, at + (_MINUTE_MS if talk else _QUIET_MS)), _MINUTE_MS)
            until = next((minute for minute in minutes if bool(self._talk(minute)) != bool(talk)), minutes.stop)
            if talk:
                step = _RECENT_STEP_MS if at >= recent else _STEP_MS
                for place in range(at, until, round(step / talk)):
                    yield self._reading(boot, seq, place)
                    seq += 1
            yield self._heard(boot, seq, until, until - at, talk)
            seq += 1
            at = until

    def _talk(self, at: int) -> float:
        """Return how much of a minute is spoken, 0 to 1: it comes and goes, by the hour and the weekday."""
        first, last = self.persona.hours
        minute, hour = at // _MINUTE_MS, at / 3_600_000 % 24
        if not first <= hour < last or self.persona.capture == "zeros":
            return 0.0
        is_weekend = (at // _DAY_MS + 3) % 7 >= 5
        wave = math.sin(minute / 6.1 + self._phase) + 0.8 * math.sin(minute / 1.9 + 2 * self._phase)
        wave += 0.9 * math.sin(minute / 31 + 3 * self._phase)
        talk = self.persona.talk * (0.5 if is_weekend else 1.0) + 0.28 * wave
        return 0.0 if talk < _LEAST_TALK else min(1.0, talk)

    @property
    def _phase(self) -> float:
        return zlib.crc32(self.device.encode()) % 628 / 100

    def _reading(self, boot: str, seq: int, at: int) -> Reading:
        scores = self._scores(at)
        is_sure = max(scores.values()) >= (_SURE if len(scores) == 3 else 0.36)
        return Reading(
            boot=boot,
            seq=seq,
            gen=self._generation,
            at=at,
            span_ms=3000,
            state="speech" if is_sure else "uncertain",
            scores=scores,
            level_dbfs=-30.0,
            model=self._model,
            clock_synced=True,
        )

    def _heard(self, boot: str, seq: int, at: int, span_ms: int, talk: float) -> Heard:
        windows = span_ms // 1000
        speech = round(windows * talk)
        return Heard(
            boot=boot,
            seq=seq,
            gen=self._generation,
            at=at,
            span_ms=span_ms,
            windows=windows,
            silent=windows - speech,
            speech=speech,
            uncertain=0,
            dropped=0,
            level_dbfs=-34.0 if talk else -58.0,
            clipping=0.0,
            snr_db=21.0 if talk else None,
        )

    def _scores(self, at: int) -> dict[str, float]:
        """Return probabilities that wander over minutes, with some noise from window to window."""
        noise = random.Random(zlib.crc32(f"{self.device}{at // 1000}".encode()))  # noqa: S311 - no secret
        weights = []
        for place, label in enumerate(self.persona.labels):
            swing = 1.7 * math.sin(at / _MINUTE_MS / (7 + 2 * place) + self._phase * (place + 1))
            lean = 0.5 if label == self.persona.lean else 0.0
            weights.append(math.exp(swing + lean + noise.gauss(0, 0.45)))
        total = sum(weights)
        return {label: round(weight / total, 4) for label, weight in zip(self.persona.labels, weights, strict=True)}

    @property
    def _model(self) -> str:
        return f"{_MARK}-{len(self.persona.labels)}"

    def _status(self, state: DeviceState) -> bytes:
        return messages.encode(
            Status(
                state=state,
                boot=self._boot,
                connection=1,
                name=self.name,
                labels=self.persona.labels,
                model=self._model,
                version=_MARK,
            )
        )

    def _health(self) -> Health:
        return Health(
            boot=self._boot,
            inference_p50_ms=1.0,
            inference_p95_ms=1.4,
            cpu_ratio=0.004,
            rss_bytes=80_000_000,
            temperature_c=48.0,
            outbox_rows=0,
            outbox_oldest_age_s=0.0,
            dropped=0,
            source=_MARK,
            clock_synced=True,
            capture=self.persona.capture,
        )

    def _next(self) -> int:
        self._seq += 1
        return self._seq - 1

    def _publish(self, kind: str, payload: bytes, *, retain: bool = False) -> None:
        assert self._client is not None
        self._client.publish(f"{topics.ROOT}/{self.device}/{kind}", payload, qos=1, retain=retain)


def _batches(records: list[Reading | Heard]) -> Iterator[list[Reading | Heard]]:
    """Yield batches, each of one kind, since each kind has a topic of its own."""
    batches: dict[type, list[Reading | Heard]] = {Reading: [], Heard: []}
    for record in records:
        batch = batches[type(record)]
        batch.append(record)
        if len(batch) == messages.MAX_BATCH:
            yield batch
            batches[type(record)] = []
    yield from (batch for batch in batches.values() if batch)


def _remember(fleet: list[Simulation], stop: threading.Event) -> None:
    """Send the histories, a stretch of each device in turn, so that the last hours of all are there first."""
    histories = [device.remember(stop) for device in fleet]
    while histories and not stop.is_set():
        histories = [history for history in histories if next(history, None) is not None]


def _now() -> int:
    return time.time_ns() // 1_000_000


def run(url: str, folder: Path, passwords: list[Path]) -> int:
    """Run simulated devices until a signal comes.

    Args:
        url: The broker's.
        folder: Keeps what has been sent of their history.
        passwords: Files of their passwords, one for each device.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    folder.mkdir(parents=True, exist_ok=True)
    endpoint = mqtt.parse_url(url)
    ids = device_ids(len(passwords))
    fleet = [Simulation(device, PERSONAS[place % len(PERSONAS)], folder) for place, device in enumerate(ids)]
    for device, password in zip(fleet, passwords, strict=True):
        device.connect(endpoint, password.read_text("utf-8-sig").strip())
    threading.Thread(target=_remember, args=(fleet, stop), name="history", daemon=True).start()
    while not stop.wait(1 - time.time() % 1):
        now = _now()
        for device in fleet:
            device.speak(now)
    for device in fleet:
        device.stop()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="simulated devices for the demo")
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("passwords", type=Path, nargs="+")
    options = parser.parse_args()
    sys.exit(run(options.url, options.folder, options.passwords))
