"""`moodwire server alerts`: looks at the minutes of all devices again and again, and tells when a rule applies."""

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import typed_settings as ts

from broker import topics
from server.alerts.notifiers import Publisher, Webhooks
from server.alerts.rules import MINUTE_MS, Change, Measured, Rule, State, load, step
from server.errors import StoreAwayError, UnusableError
from server.query.time_range import rfc3339
from server.settings import ServerSettings
from server.store import layout
from server.store.redis_store import RedisStore, open_store
from server.store.types import Device

log = logging.getLogger(__name__)

_KEY = "mw:alerts"
"""Hash: rule and device → state, so that a restart raises nothing again."""
_PAGE = 1000


@ts.settings(frozen=True)
class AlertsSettings(ServerSettings):
    """Settings of `moodwire server alerts`."""

    rules: Path = ts.option(default=Path("alerts.toml"), help="file with the rules of alerts")
    every_s: float = ts.option(default=10.0, help="seconds between two looks, 1 to 600")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range.
        """
        if not 1 <= self.every_s <= 600:
            raise ValueError(f"every_s is {self.every_s}; 1 to 600 is right")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What webhooks and topics get, as JSON."""

    v: int = 1
    rule: str
    state: Change
    at: str
    """RFC 3339, by the store's clock."""
    mac_address: str
    name: str
    label: str
    mean: float | None
    """None when nobody spoke."""
    readings: int
    over_minutes: int


def alerts(settings: AlertsSettings) -> int:
    """Look after alerts until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    stopping = threading.Event()
    try:
        rules = load(settings.rules)
        watch = Watch(open_store(settings), rules, Webhooks(), _publisher(settings, rules))
    except UnusableError as error:
        print(f"moodwire server alerts: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    log.info("looking after %d rules every %g s", len(rules), settings.every_s)
    away = False
    while not stopping.is_set():
        try:
            watch.look()
        except StoreAwayError as error:
            if not away:
                log.warning("%s; trying again", error)
            away = True
        else:
            away = False
        watch.webhooks.work()
        stopping.wait(settings.every_s)
    watch.close()
    return 0


def _publisher(settings: ServerSettings, rules: list[Rule]) -> Publisher | None:
    """Return a connection to the broker if a rule needs one."""
    return Publisher(settings) if any(rule.topic for rule in rules) else None


class Watch:
    """All rules over all devices."""

    def __init__(self, store: RedisStore, rules: list[Rule], webhooks: Webhooks, publisher: Publisher | None) -> None:
        self.webhooks = webhooks
        self._store = store
        self._rules = rules
        self._publisher = publisher

    def look(self) -> None:
        """Evaluate each rule once for each device that it is about.

        Raises:
            StoreAwayError: the store does not answer; what was not looked at is next time.
        """
        kept = self._store.execute("HGETALL", _KEY)
        states = {name.decode(): msgspec.json.decode(value, type=State) for name, value in kept.items()}
        now = self._store.now()
        met: set[str] = set()
        after = ""
        while found := self._store.devices(after, _PAGE):
            for device in found:
                for rule in self._rules:
                    if rule.matches(device):
                        name = f"{device.id} {rule.name}"
                        met.add(name)
                        self._evaluate(rule, device, name, states.get(name, State()), now)
            after = found[-1].id
        gone = states.keys() - met  # of erased devices, and of rules that there were
        if gone:
            self._store.execute("HDEL", _KEY, *sorted(gone))

    def close(self) -> None:
        """Let go of the broker."""
        if self._publisher:
            self._publisher.close()

    def _evaluate(self, rule: Rule, device: Device, name: str, state: State, now: int) -> None:
        end = (now // MINUTE_MS + 1) * MINUTE_MS
        start = end - rule.over_minutes * MINUTE_MS
        measured = Measured(0.0, 0)
        if device.latest is not None and device.latest.at >= start:
            measured = self._measure(rule, device.id, start, end)
        after, change = step(rule, state, now, measured)
        if change is None:
            return
        self._tell(rule, device, change, now, measured)
        self._store.execute("HSET", _KEY, name, msgspec.json.encode(after))

    def _measure(self, rule: Rule, device: str, start: int, end: int) -> Measured:
        """Return the mean score of a rule's label in a range, over all readings that have the label."""
        total = readings = 0
        for table in self._store.rollups(device, layout.MINUTE, start, end):
            if rule.label in table.schema.labels:
                column: Any = table.table["labels"][:, table.schema.labels.index(rule.label)]
                total += int(column["sum"].sum())
                readings += int(table.table["count"].sum())
        return Measured(total / readings / layout.SCORE_UNITS if readings else 0.0, readings)

    def _tell(self, rule: Rule, device: Device, change: Change, now: int, measured: Measured) -> None:
        alert = Alert(
            rule=rule.name,
            state=change,
            at=rfc3339(now),
            mac_address=topics.mac_address(device.id),
            name=device.name,
            label=rule.label,
            mean=round(measured.mean, 4) if measured.readings else None,
            readings=measured.readings,
            over_minutes=rule.over_minutes,
        )
        log.info("%s: %s for %s", rule.name, change, alert.mac_address)
        body = msgspec.json.encode(alert)
        if rule.webhook is not None:
            self.webhooks.post(rule.webhook, body)
        elif rule.topic is not None and self._publisher:
            self._publisher.publish(rule.topic, body)
