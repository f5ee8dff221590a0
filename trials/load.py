"""Many simulated devices that publish readings as fast as the broker takes them, or at a steady rate."""

import multiprocessing
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from broker import embedded, messages, topics
from trials.processes import PASSWORD

CONNECTIONS = 10
PROBE = CONNECTIONS
"""Number of a client beside the load."""
_AT_ONCE = 50
"""Messages in one write to a socket."""


def devices(count: int) -> list[str]:
    """Return device ids."""
    return [f"02{number:010x}" for number in range(count)]


def boot(run: int) -> str:
    """Return the boot that all devices have in one run."""
    return f"{run:016x}"


def reading(run: int, seq: int, at: int) -> messages.Reading:
    """Return a reading whose scores vary as those of a classifier do."""
    mixed = (seq * 2_654_435_761) % 2**32
    first = 0.34 + (mixed & 0xFFFF) / 0xFFFF * 0.66
    second = (1 - first) * (mixed >> 16) / 0xFFFF
    scores = [round(first, 4), round(second, 4), round(max(1 - first - second, 0), 4)]
    turn = seq // 40 % 3
    return messages.Reading(
        boot=boot(run),
        seq=seq,
        gen=0,
        at=at,
        span_ms=3000,
        state="speech" if mixed % 7 else "uncertain",
        scores=dict(zip(("ANG", "HAP", "NEU"), scores[turn:] + scores[:turn], strict=True)),
        level_dbfs=-20.0 - mixed % 300 / 10,
        model="ang-hap-neu-1",
        clock_synced=True,
    )


def packets(run: int, ids: Sequence[str], total: int, per_message: int, now_ms: int) -> list[bytes]:
    """Return PUBLISH packets (MQTT 3.1.1, QoS 1) that carry so many readings in all, device after device."""
    made = []
    for number in range(total // per_message):
        turn, which = divmod(number, len(ids))
        seqs = range(turn * per_message, (turn + 1) * per_message)
        parts = [messages.encode(reading(run, seq, now_ms - 600_000 + seq * 1000 + which)) for seq in seqs]
        made.append(packet(topics.topic(ids[which], "reading"), messages.join(parts), number))
    return made


def packet(topic: str, payload: bytes, number: int) -> bytes:
    """Return one PUBLISH packet with QoS 1."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (number % 65535 + 1).to_bytes(2, "big") + payload
    left, length = len(body), bytearray()
    while True:
        left, low = divmod(left, 128)
        length.append(low | (128 if left else 0))
        if not left:
            return b"\x32" + bytes(length) + body


@contextmanager
def publishing(port: int, made: list[bytes], per_s: float | None = None) -> Iterator[Any]:
    """Publish from a process of its own, once it is told to with `go.set()`; it ends when the broker has all."""
    context = multiprocessing.get_context("fork")
    go, ready = context.Event(), context.Event()
    child = context.Process(target=_publish, args=(port, made, per_s, ready, go), daemon=True)
    child.start()
    ready.wait()
    try:
        yield go
    finally:
        child.terminate()
        child.join()


def _publish(port: int, made: list[bytes], per_s: float | None, ready: Any, go: Any) -> None:
    """Send the packets over several connections and read what comes back."""
    clients = [connected(port, number) for number in range(CONNECTIONS)]
    sockets: list[Any] = [client.socket() for client in clients]
    sent = received = 0
    ready.set()
    go.wait()
    start_s = time.monotonic()
    waiting: dict[Any, bytes] = dict.fromkeys(sockets, b"")
    while received < 4 * len(made):  # a PUBACK has four bytes
        due = len(made) if per_s is None else min(len(made), int((time.monotonic() - start_s) * per_s))
        wants = [sock for sock in sockets if waiting[sock] or sent < due]
        readable, writable, _ = select.select(sockets, wants, [], 0.001)
        for sock in readable:
            received += len(sock.recv(65536))
        for sock in writable:
            if not waiting[sock] and sent < due:
                last = min(sent + (_AT_ONCE if per_s is None else 1), due)
                waiting[sock], sent = b"".join(made[sent:last]), last
            waiting[sock] = waiting[sock][sock.send(waiting[sock]) :]


def connected(port: int, number: int) -> mqtt.Client:
    """Return a client that has connected, and of which only the socket is used from then on."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"load-{number}")
    client.username_pw_set(embedded.server_account(2 + number), PASSWORD)  # the first is that of ingest
    client.connect("127.0.0.1", port, keepalive=600)
    while not client.is_connected():
        client.loop(0.1)
    return client
