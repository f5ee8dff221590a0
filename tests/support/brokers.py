"""Real brokers, each in a folder of its own on a free loopback port, stopped by its process id."""

import contextlib
import random
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
import pytest
from services import wait_until

from broker import embedded

_clients = count()
_ports = iter(random.sample(range(20_000, 32_000), 12_000))
BROKERS = ("mosquitto", "amqtt")
DEVICE = "aabbccddeeff"
OTHER_DEVICE = "112233445566"
ACCOUNTS = {embedded.SERVER_ACCOUNT: "server-secret", DEVICE: "device-secret", OTHER_DEVICE: "other-secret"}
ACCOUNTS |= {embedded.HOME_ASSISTANT_ACCOUNT: "home-secret", embedded.ALERTS_ACCOUNT: "alerts-secret"}
INGESTS = 3
"""The first accounts of the server are for as many ingests; the clients of tests log in with the others."""
_OBSERVERS = [embedded.server_account(number) for number in range(INGESTS + 1, INGESTS + 7)]
ACCOUNTS |= {embedded.server_account(number): "server-secret" for number in range(2, INGESTS + 7)}


def free_port() -> int:
    """Return a free loopback port, a different one each time.

    It is outside the range of ephemeral ports: an outgoing connection could take one of those before the test binds it.
    """
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("all ports from 20000 to 31999 are taken")


class Tls(NamedTuple):
    """The broker's certificate, and the certificates of clients that it requires."""

    authority: Path
    certificate: Path
    key: Path
    client: tuple[Path, Path] | None
    """Certificate and key of the tests' own clients; None if the broker requires no certificate."""


class RunningBroker:
    """A broker as a child process that can be killed and started again."""

    def __init__(self, folder: Path, kind: str, tls: Tls | None = None) -> None:
        self.port = free_port()
        self.url = f"{'mqtts' if tls else 'mqtt'}://127.0.0.1:{self.port}"
        self._tls = tls
        prepare = embedded.prepare if kind == "mosquitto" else embedded.prepare_amqtt
        # With TLS there are two listeners, as broker/README.md shows it; the tests use the second.
        self._start = prepare(folder, "127.0.0.1", free_port() if tls else self.port, ACCOUNTS)
        if kind not in self._start.name.lower():
            pytest.skip(f"{kind} is not installed (Debian: apt install mosquitto)")
        self._log = folder / "broker.log"
        if tls:
            lines = [
                f"listener {self.port} 127.0.0.1",
                f"cafile {tls.authority}",
                f"certfile {tls.certificate}",
                f"keyfile {tls.key}",
            ]
            lines += ["require_certificate true"] if tls.client else []
            (folder / "conf.d" / "tls.conf").write_text("\n".join(lines) + "\n")
        self.start()

    def start(self) -> None:
        """Start the child and wait until it accepts connections."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._start.argv, stdout=log, stderr=log)
        wait_until(self._accepts, f"the broker accepts connections; its log: {self._log.read_text()}")

    def kill(self) -> None:
        """End the child as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the child."""
        self.process.terminate()
        self.process.wait()

    @contextmanager
    def client(self, user: str, on_message: Callable[[str, bytes], None] | None = None) -> Iterator[mqtt.Client]:
        """Connect as one of the accounts while the context lasts; `on_message` gets each topic and payload.

        `server` stands for an account with its rights that no ingest has, because each account connects once.
        """
        number = next(_clients)
        user = _OBSERVERS[number % len(_OBSERVERS)] if user == embedded.SERVER_ACCOUNT else user
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"test-{user}-{number}")
        client.username_pw_set(user, ACCOUNTS[user])
        if self._tls:
            context = ssl.create_default_context(cafile=self._tls.authority)
            if self._tls.client:
                context.load_cert_chain(*self._tls.client)
            client.tls_set_context(context)
        if on_message:
            client.on_message = lambda _client, _data, message: on_message(message.topic, bytes(message.payload))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            wait_until(client.is_connected, f"{user} is connected")
            yield client
        finally:
            client.disconnect()
            client.loop_stop()

    def _accepts(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def running_broker(folder: Path, kind: str = BROKERS[0], tls: Tls | None = None) -> Iterator[RunningBroker]:
    """Run a broker in a folder while the context lasts."""
    broker = RunningBroker(folder, kind, tls)
    try:
        yield broker
    finally:
        broker.stop()
