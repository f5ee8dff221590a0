"""`moodwire server alerts`: evaluates the rules over all devices again and again, and notifies of what changes."""

import logging
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import typed_settings as ts

from broker import topics
from common.outage import Outage
from server.alerts.notifiers import Publisher, Webhooks
from server.alerts.rules import MINUTE_MS, Change, Measured, Rule, evaluate, load
from server.errors import StoreAwayError, UnusableError
from server.query.time_range import rfc3339
from server.settings import ServerSettings
from server.store import codec, rollups
from server.store.alert_states import AlertState
from server.store.redis_store import RedisStore, open_store
from server.store.types import Device

log = logging.getLogger(__name__)

_PAGE = 1000
_SHOWN_S = 1300
"""How long the rules are shown after an evaluation; two of the longest pauses between evaluations and a little."""


@ts.settings(frozen=True)
class AlertsSettings(ServerSettings):
    """Settings of `moodwire server alerts`."""

    rules: Path = ts.option(default=Path("alerts.toml"), help="file with the rules of alerts")
    every_s: float = ts.option(default=10.0, help="seconds between two evaluations of the rules, 1 to 600")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range.
        """
        if not 1 <= self.every_s <= 600:
            raise ValueError(f"every_s is {self.every_s}; set 1 to 600")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON that webhooks and topics get."""

    v: int = 1
    rule: str
    state: Change
    at: str
    """RFC 3339, by the store's clock."""
    mac_address: str
    name: str
    label: str
    mean: float | None
    """None without readings."""
    readings: int
    over_minutes: int


def alerts(settings: AlertsSettings) -> int:
    """Evaluate the rules until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if that cannot work."""
    stopping = threading.Event()
    try:
        rules = load(settings.rules)
        publisher = Publisher(settings) if any(rule.topic for rule in rules) else None
        evaluator = Evaluator(open_store(settings), rules, Webhooks(), publisher)
    except UnusableError as error:
        print(f"moodwire server alerts: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    log.info("evaluating %d rules every %g s", len(rules), settings.every_s)
    outage = Outage(log)
    while not stopping.is_set():
        try:
            evaluator.evaluate_all()
        except StoreAwayError as error:
            outage.begin("%s; retrying", error)
        else:
            outage.end("the store is back")
        evaluator.webhooks.deliver()
        stopping.wait(settings.every_s)
    evaluator.close()
    return 0


class Evaluator:
    """All rules over all devices.

    Args:
        store: Holds the readings, and the state of each alert.
        rules: As `rules.load` returns them.
        webhooks: Deliver to rules with a webhook.
        publisher: Delivers to rules with a topic; None if there are none.
    """

    def __init__(self, store: RedisStore, rules: list[Rule], webhooks: Webhooks, publisher: Publisher | None) -> None:
        self.webhooks = webhooks
        self._store = store
        self._rules = rules
        self._publisher = publisher

    def evaluate_all(self) -> None:
        """Evaluate each rule once for each device that it applies to.

        Raises:
            StoreAwayError: the store does not answer; the next call evaluates the rest.
        """
        self._store.alert_states.show_rules([rule.shown() for rule in self._rules], _SHOWN_S)
        states = self._store.alert_states.all()
        now = self._store.now()
        current: set[tuple[str, str]] = set()
        after = ""
        while page := self._store.devices(after, _PAGE):
            for device in page:
                for rule in self._rules:
                    if rule.matches(device):
                        name = device.id, rule.name
                        current.add(name)
                        self._evaluate(rule, device, states.get(name, AlertState()), now)
            after = page[-1].id
        self._store.alert_states.drop(states.keys() - current)  # of erased devices and removed rules

    def close(self) -> None:
        """Disconnect from the broker."""
        if self._publisher:
            self._publisher.close()

    def _evaluate(self, rule: Rule, device: Device, state: AlertState, now: int) -> None:
        end = (now // MINUTE_MS + 1) * MINUTE_MS
        start = end - rule.over_minutes * MINUTE_MS
        measured = Measured(0.0, 0)
        if device.latest is not None and device.latest.at >= start:
            measured = self._measure(rule, device.id, start, end)
        after, change = evaluate(rule, state, now, measured)
        if change is None:
            return
        self._notify(rule, device, change, now, measured)
        self._store.alert_states.save(device.id, rule.name, after)

    def _measure(self, rule: Rule, device: str, start: int, end: int) -> Measured:
        """Return the mean score of a rule's label over all readings in a range of Unix ms that have the label."""
        total = readings = 0
        for table in self._store.rollups(device, rollups.MINUTE, start, end):
            if rule.label in table.schema.labels:
                column: Any = table.table["labels"][:, table.schema.labels.index(rule.label)]
                total += int(column["sum"].sum())
                readings += int(table.table["count"].sum())
        return Measured(total / readings / codec.SCORE_UNITS if readings else 0.0, readings)

    def _notify(self, rule: Rule, device: Device, change: Change, now: int, measured: Measured) -> None:
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
