"""Broker, store, ingest and REST as processes that can be ended in any way, behind relays that can fail."""

import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import requests

from broker import embedded
from server.errors import StoreAwayError
from server.store.embedded import store_command
from server.store.keys import DAY_MS
from server.store.redis_store import RedisStore
from trials.chaos.shim import Shim
from trials.processes import PASSWORD, free_port, wait_until
from trials.relay import Relay
from trials.services import TOKEN, environment

RETENTION_DAYS = 1
_AGAIN_S = 0.3
"""How long after its end a process is started again, as systemd does."""
_END_S = 15.0


class Process:
    """A child process that is started again when it ends by itself, unless it is held down.

    Args:
        name: For people.
        argv: How to start it.
        log: Takes what it prints.
        settings: Its environment.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path, settings: dict[str, str]) -> None:
        self.name = name
        self.log = log
        self._argv = argv
        self._settings = settings
        self._lock = threading.Lock()
        self._held = False
        self._over = threading.Event()
        self.restarts = 0
        """How often it ended by itself."""
        self.start()
        threading.Thread(target=self._keep, daemon=True).start()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.pid

    def start(self, *words: str) -> None:
        """Start it, this time with more words, and keep it running."""
        with self._lock:
            with self.log.open("ab") as sink:
                # SIGXFSZ stays ignored as in this process: a full disk is an error, not a signal.
                self._child = subprocess.Popen(
                    [*self._argv, *words], stdout=sink, stderr=sink, env=self._settings, restore_signals=False
                )
            self._held = False

    def end(self, number: signal.Signals) -> None:
        """End it with a signal, and hold it down."""
        with self._lock:
            self._held = True
            if self._child.poll() is None:
                self._child.send_signal(number)
                try:
                    self._child.wait(_END_S)
                except subprocess.TimeoutExpired:
                    self._child.kill()
                    self._child.wait()

    @contextmanager
    def down(self, number: signal.Signals) -> Iterator[None]:
        """End it with a signal, and start it again when the context ends."""
        self.end(number)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Stop it without ending it, as long as the context lasts."""
        self._child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._child.send_signal(signal.SIGCONT)

    @contextmanager
    def writing_nothing(self) -> Iterator[None]:
        """Let no file of it grow, also after a restart: each write fails as on a full disk."""
        _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        full = threading.Event()

        def keep_full() -> None:
            while not full.wait(0.01):
                if self._child.poll() is None:
                    resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (1, most))

        thread = threading.Thread(target=keep_full)
        thread.start()
        try:
            yield
        finally:
            full.set()
            thread.join()
            with self._lock:
                if self._child.poll() is None:
                    resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most, most))

    def close(self) -> None:
        """End it for good."""
        self._over.set()
        self.end(signal.SIGTERM)

    def _keep(self) -> None:
        while not self._over.wait(_AGAIN_S):
            if not self._held and self._child.poll() is not None:
                self.restarts += 1
                self.start()


class Services:
    """All that a device talks to, in one folder.

    Args:
        folder: Empty.
        devices: Ids that have an account at the broker.
        library: What gives clocks and disks into the trial's hand; None where it could not be built.
        valkey: Take Valkey, from its Python package, even if Redis is installed.
    """

    def __init__(self, folder: Path, devices: Sequence[str], library: Path | None, *, valkey: bool) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.valkey = valkey
        self.broker_port, self.api_port = free_port(), free_port()
        start = store_command(folder / "store", wheel=valkey)
        self.store_name = start.name
        self.store_socket = Path(start.url.removeprefix("unix://"))
        self.aof = folder / "store" / "appendonlydir"
        self.kept = RedisStore(start.url, RETENTION_DAYS * DAY_MS, 730 * DAY_MS)
        """The store, not through the relay."""
        self.redis = redis.Redis.from_url(start.url, socket_timeout=5)
        self.to_store = Relay(self.store_socket, folder / "relay.sock", random.Random(1))
        self.to_broker = Relay(("127.0.0.1", self.broker_port), dice=random.Random(2))
        self.shims = {name: Shim(library, folder / f"{name}.shim") for name in ("store", "ingest")} if library else {}
        accounts = dict.fromkeys([*map(embedded.server_account, (1, 2)), *devices], PASSWORD)
        broker = embedded.prepare(folder / "broker", "127.0.0.1", self.broker_port, accounts)
        self.broker = Process("broker", broker.argv, folder / "broker.log", environment())
        self.store = Process("store", start.argv, folder / "store.log", self._environment("store"))
        self.ingest = self.another_ingest("ingest", relayed=True)
        self.rest = Process(
            "rest",
            _moodwire("server", "run"),
            folder / "rest.log",
            environment(
                redis_url=start.url, operator_token=TOKEN, api_port=self.api_port, retention_days=RETENTION_DAYS
            ),
        )
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a login of the user comes between
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"
        self.processes = [self.rest, self.ingest, self.broker, self.store]

    def another_ingest(self, name: str, *, relayed: bool = False, number: int = 1) -> Process:
        """Start an ingest.

        Args:
            name: Of its log.
            relayed: Reach broker and store through the relays.
            number: Of its account at the broker, and of its client id.
        """
        port = self.to_broker.port if relayed else self.broker_port
        settings = self._environment(
            name,
            mqtt_url=f"mqtt://127.0.0.1:{port}",
            mqtt_username=embedded.server_account(number),
            mqtt_password=PASSWORD,
            mqtt_client_id=f"moodwire-ingest-{number}",
            redis_url=f"unix://{self.folder / 'relay.sock' if relayed else self.store_socket}",
            retention_days=RETENTION_DAYS,
        )
        return Process(name, _moodwire("server", "ingest"), self.folder / f"{name}.log", settings)

    def wait_ready(self) -> None:
        """Wait until store, ingest and REST are there."""
        wait_until(self.is_ready, f"store, ingest and REST are ready; their logs are in {self.folder}", every_s=0.1)

    def is_ready(self) -> bool:
        """Return whether the store answers, ingest runs and REST says so."""
        try:
            return self.kept.is_ingest_alive() and self._session.get(f"{self._api}/readyz", timeout=5).ok
        except (StoreAwayError, requests.RequestException):
            return False

    def get(self, path: str) -> Any:
        """Return what REST answers; None for what it does not know."""
        answer = self._session.get(f"{self._api}/api/v1{path}", timeout=60)
        if answer.status_code == requests.codes.not_found:
            return None
        answer.raise_for_status()
        return answer.json()

    def delete(self, device: str) -> bool:
        """Ask REST to erase a device, and return whether it has."""
        try:
            answer = self._session.delete(f"{self._api}/api/v1/devices/{device}", timeout=10)
        except requests.RequestException:
            return False
        return bool(answer.ok)

    def store_files(self) -> list[Path]:
        """Return the files that the store appends to."""
        manifest = next(self.aof.glob("*.manifest")).read_text()
        return [self.aof / line.split()[1] for line in manifest.splitlines() if line.endswith("type i")]

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            process.close()
        for relay in (self.to_store, self.to_broker):
            relay.close()
        self.kept.close()
        self.redis.close()

    @property
    def _api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def _environment(self, name: str, **settings: object) -> dict[str, str]:
        shim = self.shims.get(name)
        return environment(**settings) | (shim.settings if shim else {})


def _moodwire(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "moodwire", *words]
