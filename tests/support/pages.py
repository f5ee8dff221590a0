"""The whole server with a dashboard, which a test writes to, and what a person reads on the page."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import requests
from brokers import ACCOUNTS, RunningBroker, free_port
from patience import REPLY_S
from records import DAY_MS, DEVICE, health, reading, status
from rooms import OPERATOR, ROOT, VIEWER, Rest, Room, ingest
from selenium import webdriver
from services import RunningStore, wait_until

from broker import topics
from broker.messages import encode
from server.store import keys
from server.store.redis_store import RedisStore

KEY = "key-of-the-tests"


class World:
    """A store to write to, ingest, REST, live events, and the page over them."""

    def __init__(self, folder: Path, store: RunningStore, broker: RunningBroker, stack: ExitStack) -> None:
        self.store = RedisStore(store.url, retention_ms=DAY_MS, rollup_retention_ms=DAY_MS)
        self.store.prepare()
        self.broker = broker
        self._live_stream = self.store.live_stream
        self._next_seq = 0
        ports = {name: free_port() for name in ("api", "live", "page")}
        self.rest = Rest(ports["api"])
        self.url = f"http://127.0.0.1:{ports['page']}"
        api = {"redis_url": store.url, "viewer_token": VIEWER, "operator_token": OPERATOR}
        place = {"api_url": self.rest.url, "live_url": f"http://127.0.0.1:{ports['live']}"}
        enter = stack.enter_context
        self.ingest = enter(ingest(folder, broker, store))
        self.server = enter(Room(folder, "server", "run", **api, api_port=ports["api"]))
        self.live = enter(Room(folder, "server", "live", **api, live_port=ports["live"]))
        login = {"api_token": OPERATOR, "dashboard_key": KEY, "dashboard_port": ports["page"]}
        self.dashboard = enter(Room(folder, "dashboard", **place, **login))
        wait_until(lambda: self.rest.ready() and _answers(f"{self.url}/livez"), "all serve", 120)

    def speak(self, count: int, device: str = DEVICE, state: str = "speech", **scores: float) -> None:
        """Store readings of the last seconds, the newest now, and tell of them."""
        now = self.store.now()
        for i in range(count):
            changes = {"state": state} | ({"scores": scores} if scores else {})
            self._tell([(device, reading(self._next_seq, now - (count - 1 - i) * 1_000, **changes))])
            self._next_seq += 1

    def announce(self, device: str = DEVICE, **changes: object) -> None:
        """Store a device's name and status, online by default, and tell of it."""
        self._tell([(device, status(**changes))])

    def complain(self, device: str = DEVICE, **changes: object) -> None:
        """Store a device's health."""
        self.store.write([(device, health(**changes))])

    def forget(self) -> None:
        """Empty the store, but for what its processes need."""
        for member in self.store.execute("ZRANGE", keys.DEVICES, 0, -1):
            for key in self.store.execute("KEYS", f"{keys.base(member.decode())}*"):
                self.store.execute("DEL", key)
            self.store.execute("ZREM", keys.DEVICES, member)
        self.store._indexed.clear()

    @contextmanager
    def frozen(self, room: Room) -> Iterator[None]:
        """Let a process hang while the context lasts."""
        room.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            room.process.send_signal(signal.SIGCONT)

    def _tell(self, pairs: list[tuple[str, Any]]) -> None:
        self.store.write(pairs)
        self._live_stream.add(pairs)
        self._live_stream.flush()


def text(page: webdriver.Chrome, css: str) -> str:
    """Return what a person reads at a place on the page; empty while it is not there."""
    # One script, because elements may come and go between finding one and reading it.
    script = "return Array.from(document.querySelectorAll(arguments[0]), element => element.innerText).join(' ')"
    shown: str = page.execute_script(script, css)
    return " ".join(shown.split())


def shows(page: webdriver.Chrome, css: str, what: str, timeout_s: float = 60.0) -> None:
    """Wait until a person can read something at a place on the page."""
    try:
        wait_until(lambda: what in text(page, css), f"{css} shows {what!r}", timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}; it shows {text(page, css)!r}") from None


def resize(page: webdriver.Chrome, width: int, height: int = 844) -> None:
    """Give the page the size of a screen, a phone's below 500 pixels; 0: as the window is."""
    if not width:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        return
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def use_theme(page: webdriver.Chrome, theme: str) -> None:
    """Let the system have a theme: light or dark."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def keep_picture(page: webdriver.Chrome, name: str) -> None:
    """Keep a picture of the page, for people to look at."""
    folder = ROOT / "build" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    page.save_screenshot(str(folder / f"{name}.png"))


@contextmanager
def device_online(world: World, device: str, **changes: object) -> Iterator[Any]:
    """Let a device be connected to the broker with its last will while the context lasts; it yields the connection."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device)
    client.username_pw_set(device, ACCOUNTS[device])
    place = topics.topic(device, "status")
    client.will_set(place, encode(status(**(changes | {"state": "offline"}))), qos=1, retain=True)
    client.connect("127.0.0.1", world.broker.port)
    client.loop_start()
    try:
        wait_until(client.is_connected, "the device is connected")
        client.publish(place, encode(status(**changes)), qos=1, retain=True).wait_for_publish(REPLY_S)
        yield client
    finally:
        client.loop_stop()
        client.disconnect()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=REPLY_S).ok
    except requests.RequestException:
        return False
