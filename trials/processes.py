"""Starts the real broker, the real store and what is tried with them; each is stopped by its process id."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Any, NamedTuple

import redis

from broker import embedded as broker_embedded
from server.store import embedded as server_embedded

PASSWORD = "trial"
PATIENCE_S = 120.0
ACCOUNTS = 20
"""Accounts with the server's rights at the broker: for ingest, and for what publishes beside it."""


class Store(NamedTuple):
    """A running store."""

    url: str
    name: str
    folder: Path
    pid: int
    client: redis.Redis


class Broker(NamedTuple):
    """A running Mosquitto; user `server`, password `PASSWORD`."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Address as the settings have it."""
        return f"mqtt://127.0.0.1:{self.port}"


def wait_until(condition: Callable[[], Any], what: str, every_s: float = 0.02, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; end the trial with the sentence when it does not come."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {patience_s:.0f} s in vain until {what}")
        time.sleep(every_s)


@contextmanager
def running(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process as long as the context lasts."""
    with log.open("ab") as sink:
        process = subprocess.Popen(argv, stdout=sink, stderr=sink, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_store(folder: Path, *, wheel: bool = False, extra: Sequence[str] = ()) -> Iterator[Store]:
    """Run the embedded store, with extra options."""
    start = server_embedded.store_command(folder, wheel=wheel)
    client = redis.Redis.from_url(start.url)
    with running([*start.argv, *extra], folder / "store.log") as process:
        wait_until(lambda: _answers(client), "the store answers")
        yield Store(start.url, start.name, folder, process.pid, client)
        client.close()


@contextmanager
def running_broker(folder: Path) -> Iterator[Broker]:
    """Run Mosquitto as the demo does."""
    port = free_port()
    accounts = [broker_embedded.server_account(number) for number in range(1, ACCOUNTS + 1)]
    start = broker_embedded.prepare(folder, "127.0.0.1", port, dict.fromkeys(accounts, PASSWORD))
    with running(start.argv, folder / "broker.log") as process:
        wait_until(lambda: _accepts(port), "the broker accepts connections")
        yield Broker(port, process.pid)


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _accepts(port: int) -> bool:
    with socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
