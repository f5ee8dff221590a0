"""`moodwire demo`: the whole system on one machine, each part in a process of its own that is restarted if it dies.

An installed Mosquitto and an installed Redis are used if there are any, else the broker and the store that come as
Python packages. Everything listens on loopback, is protected by secrets made at the first start, and keeps its data in
one folder.
"""

import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import requests
import typed_settings as ts

import broker.embedded
import server.store.embedded
from broker.topics import mac_address
from common import own_services
from common.notice import NOTICE
from device.audio import input_devices, portaudio
from device.audio.source import SourceError
from device.delivery import outbox_file
from device.system import identity
from server.errors import UnusableError
from wiring import fleet
from wiring.children import Child, Children
from wiring.keys import Keys

HOST = "127.0.0.1"
READY_S = 60.0
"""Time until all parts must be ready."""


@ts.settings(frozen=True)
class DemoSettings:
    """Settings of `moodwire demo`."""

    data_dir: Path = ts.option(default=Path("data"), help="folder that keeps everything over restarts")
    for_s: float = ts.option(
        default=0.0, help="stop after so many seconds, and fail unless readings went the whole way; 0: run until Ctrl-C"
    )
    wav: str = ts.option(default="samples", help="audio file or folder to play again and again, in real time")
    mic: bool = ts.option(default=False, help="listen to the microphone instead")
    api_port: int = ts.option(default=8080, help="port of the REST API")
    live_port: int = ts.option(default=8082, help="port of live events")
    dashboard_port: int = ts.option(default=8050, help="port of the dashboard")
    fleet: int = ts.option(
        default=0, help="add so many simulated devices, marked as such, with thirty days of history (at most 24)"
    )
    mqtt_port: int = ts.option(default=18830, help="port of the embedded broker")
    mqtt_url: str = ts.option(default="", help="use this broker, with accounts of your own, instead of an embedded one")
    redis_url: str = ts.option(default="", help="use this store instead of an embedded one")


class DemoError(Exception):
    """The demo cannot start; the text says why and what to do."""


def demo(settings: DemoSettings) -> int:
    """Run everything; return 0 when the user stops it, or after `for_s` if readings were read back over REST."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        plan = _Plan(settings)
    except (DemoError, UnusableError) as error:
        print(error, file=sys.stderr)
        return 2
    print(NOTICE, end="\n\n")
    started_ms, started_s = time.time_ns() // 1_000_000, time.monotonic()
    with Children(plan.children) as children:
        if not _wait_ready(plan, children, stop):
            return 0 if stop.is_set() else 1
        print(plan.welcome(time.monotonic() - started_s), flush=True)
        deadline_s = time.monotonic() + settings.for_s if settings.for_s else float("inf")
        while not stop.is_set() and time.monotonic() < deadline_s:
            if not children.keep_running():
                return 1
            stop.wait(min(0.2, max(0.0, deadline_s - time.monotonic())))
        return _report(plan, started_ms) if settings.for_s else 0


class _Plan:
    """The child processes with their settings, and the addresses where they serve."""

    def __init__(self, settings: DemoSettings) -> None:
        self._settings = settings
        self.folder = settings.data_dir.absolute()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # who spoke when is private
        state = self.folder / "device"
        self.device = identity.device_id("hardware", state, outbox=outbox_file.owner_of(state))
        self._keys = Keys(self.folder / "secrets")
        self._keys.add_device(self.device)
        if not 0 <= settings.fleet <= fleet.MOST:
            raise DemoError(f"FLEET={settings.fleet} is not possible; use 0 to {fleet.MOST}")
        if settings.fleet and settings.mqtt_url:
            raise DemoError("FLEET needs the embedded broker, which knows its devices; leave mqtt_url out")
        for device in fleet.device_ids(settings.fleet):
            self._keys.add_device(device)
        if settings.mic:
            _check_microphone()
        elif not Path(settings.wav).exists():
            raise DemoError(f"no file or folder {settings.wav!r} to play; name another: WAV=…")
        self._check_ports()
        self.api = f"http://{HOST}:{settings.api_port}"
        self.live = f"http://{HOST}:{settings.live_port}"
        self.dashboard = f"http://{HOST}:{settings.dashboard_port}"
        self.children = self._children()

    def welcome(self, after_s: float) -> str:
        """Return what the user reads once everything is ready."""
        token = self._keys.value("operator-token")
        others = f"; {self._settings.fleet} others are simulated" if self._settings.fleet else ""
        source = "listens to the microphone" if self._settings.mic else f"plays {self._settings.wav}"
        end = (
            f"Stops after {self._settings.for_s:.0f} s." if self._settings.for_s else "Ctrl-C stops it; the data stays."
        )
        return f"""
moodwire is ready after {after_s:.1f} s: device {mac_address(self.device)} {source}{others}.

  Dashboard  {self.dashboard}/login?key={self._keys.value("dashboard-key")}
  REST API   {self.api}/api/v1/docs
  Data       {self.folder} (logs in {self.folder / "logs"})

{end} Ask it from another terminal; README.md has more of these:

  export TOKEN={token}
  export DEVICE={mac_address(self.device)} API={self.api}/api/v1
  curl -H "Authorization: Bearer $TOKEN" "$API/devices"
  curl -H "Authorization: Bearer $TOKEN" "$API/devices/$DEVICE?step=1m"
  curl -N -H "Authorization: Bearer $TOKEN" {self.live}/api/v1/live
"""

    def ready(self) -> bool:
        """Return whether the store, ingest, REST, live events and the page all answer."""
        try:
            api = own_services.get(f"{self.api}/readyz", timeout=2)
            live = own_services.get(f"{self.live}/readyz", timeout=2)
            page = own_services.get(f"{self.dashboard}/livez", timeout=2)
        except requests.RequestException:
            return False
        return api.ok and live.ok and page.ok

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return the JSON of a GET request to the REST API, sent as a viewer."""
        token = self._keys.value("viewer-token")
        answer = own_services.get(f"{self.api}/api/v1{path}", token, params=query, timeout=10)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def _check_ports(self) -> None:
        settings = self._settings
        wanted = [
            ("API_PORT", settings.api_port),
            ("LIVE_PORT", settings.live_port),
            ("DASHBOARD_PORT", settings.dashboard_port),
        ]
        if not settings.mqtt_url:
            wanted.append(("MQTT_PORT", settings.mqtt_port))
        for name, port in wanted:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise DemoError(f"port {port} is taken ({error.strerror}); choose another: {name}=…") from error

    def _children(self) -> list[Child]:
        settings, keys = self._settings, self._keys
        children = []
        mqtt_url, redis_url = settings.mqtt_url, settings.redis_url
        server_account: dict[str, str] = {}
        device_account: dict[str, str] = {}
        if not mqtt_url:
            accounts = keys.accounts()
            start = broker.embedded.prepare(self.folder / "broker", HOST, settings.mqtt_port, accounts)
            children.append(self._child("broker", start.name, start.argv))
            mqtt_url = f"mqtt://{HOST}:{settings.mqtt_port}"
            server_account = {
                "MQTT_USERNAME": broker.embedded.SERVER_ACCOUNT,
                "MQTT_PASSWORD_FILE": str(keys.path("server-password")),
            }
            device_account = {"MQTT_PASSWORD_FILE": str(keys.device_path(self.device))}
        if not redis_url:
            store = server.store.embedded.store_command(self.folder / "store")
            children.append(self._child("store", store.name, store.argv))
            redis_url = store.url
        services = {"MQTT_URL": mqtt_url, "REDIS_URL": redis_url}
        tokens = {f"{role}_TOKEN_FILE": str(keys.path(f"{role.lower()}-token")) for role in ("VIEWER", "OPERATOR")}
        page = {
            "DASHBOARD_KEY_FILE": str(keys.path("dashboard-key")),
            "API_TOKEN_FILE": str(keys.path("operator-token")),  # on loopback, whoever reads the link is the operator
            "DASHBOARD_DIR": str(self.folder / "dashboard"),
            "API_URL": self.api,
            "LIVE_URL": self.live,
        }
        device = {"MQTT_URL": mqtt_url, "STATE_DIR": str(self.folder / "device"), "NAME": "Demo"} | device_account
        device["CLOCK_WAIT_S"] = "0"  # device and server share this machine's clock, synchronised or not
        if not settings.mic:
            device |= {"CLIPS": str(Path(settings.wav).absolute()), "LOOP": "true"}
        return [
            *children,
            self._room("ingest", ["server", "ingest"], services | server_account),
            self._room("REST API", ["server", "run", "--api-port", str(settings.api_port)], services | tokens),
            self._room("live events", ["server", "live", "--live-port", str(settings.live_port)], services | tokens),
            self._room("dashboard", ["dashboard", "--dashboard-port", str(settings.dashboard_port)], page),
            self._room("device", ["device", "run"], device),
            *self._fleet(mqtt_url),
        ]

    def _fleet(self, mqtt_url: str) -> list[Child]:
        """Return the process of the simulated devices, if there are any."""
        passwords = [str(self._keys.device_path(device)) for device in fleet.device_ids(self._settings.fleet)]
        if not passwords:
            return []
        argv = [sys.executable, "-P", "-m", "wiring.fleet", mqtt_url, str(self.folder / "fleet"), *passwords]
        return [self._child("fleet", f"{len(passwords)} simulated devices", argv)]

    def _room(self, name: str, words: list[str], settings: dict[str, str]) -> Child:
        # -P keeps the current folder out of the import path: a `server.py` or `moodwire/` there is not ours.
        return self._child(name, name, [sys.executable, "-P", "-m", "moodwire", *words], settings)

    def _child(self, name: str, label: str, argv: list[str], settings: dict[str, str] | None = None) -> Child:
        environment = {f"MOODWIRE_{key}": value for key, value in (settings or {}).items()}
        log = self.folder / "logs" / f"{name.lower().replace(' ', '-')}.log"
        return Child(name=name, label=label, argv=argv, environment=environment, log=log)


def _check_microphone() -> None:
    """Look for a microphone before anything starts.

    Raises:
        DemoError: there is none to listen to.
    """
    try:
        sounddevice = portaudio.load()
        input_devices.choose("", portaudio.list_inputs(sounddevice), portaudio.default_index(sounddevice))
    except SourceError as error:
        reason = str(error).partition(";")[0]
        raise DemoError(f"MIC=1: {reason}; mend that, or play recordings: make demo WAV=my-recordings") from error


def _wait_ready(plan: _Plan, children: Children, stop: threading.Event) -> bool:
    deadline_s = time.monotonic() + READY_S
    while not plan.ready():
        if not children.keep_running() or stop.wait(0.1):
            return False
        if time.monotonic() > deadline_s:
            print(f"not ready after {READY_S:.0f} s; read the logs in {plan.folder / 'logs'}", file=sys.stderr)
            return False
    return True


def _report(plan: _Plan, started_ms: int) -> int:
    """Read back over REST what this run stored, print it, and return 0 if there is anything, else 1."""
    try:
        device = plan.get(f"/devices/{plan.device}", start=started_ms / 1000)
        summary = plan.get(f"/devices/{plan.device}/summary", start=started_ms / 1000)
    except requests.RequestException as error:
        print(f"cannot read back over REST what was stored: {error}", file=sys.stderr)
        return 1
    seen = sum(device["readings_per_step"])
    missing = summary["completeness"]["missing"]
    means = ", ".join(f"{label} {facts['mean_score']:.2f}" for label, facts in summary["labels"].items() if seen)
    print(f"{seen} readings of {device['mac_address']} stored in this run and read back over REST; {missing} missing.")
    print(f"{device['readings']} readings of it are kept in all. Mean scores of this run: {means or 'none'}.")
    return 0 if seen else 1
