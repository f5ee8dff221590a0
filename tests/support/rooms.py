"""`moodwire` commands as child processes, as an operator runs them, and a client of the REST API."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import requests
from brokers import ACCOUNTS, RunningBroker
from patience import CHILD_S, REPLY_S
from services import RunningStore, wait_until

from broker import embedded

ROOT = Path(__file__).parents[2]
CREMA_D = ROOT.parent / "shared" / "data" / "crema-d" / "audio"
"""Real recordings, if they are there; they are not part of the project."""
VIEWER = "viewer-token-of-the-tests"
OPERATOR = "operator-token-of-the-tests"


class Room:
    """One `moodwire` command with its settings; as a context manager it is stopped at the end."""

    def __init__(self, folder: Path, *words: str, **settings: object) -> None:
        self._argv = [sys.executable, "-m", "moodwire", *words]
        self._environment = {f"MOODWIRE_{name.upper()}": str(value) for name, value in settings.items()}
        self._log = folder / f"{'-'.join(words[:2])}.log"
        self.start()

    def start(self) -> None:
        """Start the process."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MOODWIRE_")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv, env=environment | self._environment, cwd=ROOT, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process with a signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(CHILD_S)

    @property
    def log(self) -> str:
        """Output of the process so far."""
        return self._log.read_text()

    def says(self, what: str, times: int = 1) -> None:
        """Wait until the log contains a text `times` times since the first start."""
        try:
            wait_until(lambda: self.log.count(what) >= times, f"the log says {what!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says: {self.log}") from None

    def __enter__(self) -> Self:
        """Return the room, already started."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(CHILD_S)


def ingest(folder: Path, broker: RunningBroker, store: RunningStore, number: int = 1, **settings: object) -> Room:
    """Run `moodwire server ingest` between a broker and a store, with the account of the first, second … ingest."""
    name = embedded.server_account(number)
    account = {"mqtt_username": name, "mqtt_password": ACCOUNTS[name]}
    return Room(folder, "server", "ingest", mqtt_url=broker.url, redis_url=store.url, **account, **settings)


class Rest:
    """Client of the REST API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        """Return whether REST, store and ingest are ready."""
        try:
            return requests.get(f"{self.url}/readyz", timeout=REPLY_S).ok
        except requests.RequestException:
            return False

    def get(self, path: str, **query: object) -> Any:
        """Return the JSON answer to a viewer."""
        answer = requests.get(f"{self.url}/api/v1{path}", params=query, headers=bearer(VIEWER), timeout=REPLY_S)
        assert answer.ok, answer.text
        return answer.json()

    def readings(self, mac: str) -> int:
        """Return the number of stored readings of a device; 0 for an unknown one."""
        answer = requests.get(f"{self.url}/api/v1/devices/{mac}", headers=bearer(VIEWER), timeout=REPLY_S)
        return int(answer.json()["readings"]) if answer.ok else 0


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
