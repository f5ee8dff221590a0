"""What `moodwire server alerts` keeps in the store: the state of each alert, and its rules for whoever shows them."""

from typing import Literal

import msgspec

from server.store import keys
from server.store.types import Execute


class AlertState(msgspec.Struct, frozen=True):
    """The alert of one rule and device."""

    raised: bool = False
    raised_at: int | None = None
    """When it was raised last, Unix ms; the cooldown counts from it."""
    changed_at: int | None = None
    """When it was raised or cleared last, Unix ms."""
    mean: float | None = None
    """Mean score with which it changed; None without readings."""


class ShownRule(msgspec.Struct, frozen=True):
    """A rule as viewers may see it: without the address that it notifies."""

    name: str
    label: str
    above: float
    below: float
    device: str
    over_minutes: int
    least_readings: int
    cooldown_minutes: int
    notifies: Literal["webhook", "topic"]


_state = msgspec.json.Decoder(AlertState)
_rules = msgspec.json.Decoder(list[ShownRule])


class AlertStates:
    """The alerts of all rules and devices.

    Args:
        execute: Sends a command to the store.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def all(self) -> dict[tuple[str, str], AlertState]:
        """Return the states by device id and name of the rule."""
        found = {}
        for name, value in self._execute("HGETALL", keys.ALERTS).items():
            device, _, rule = name.decode().partition(" ")
            found[device, rule] = _state.decode(value)
        return found

    def save(self, device: str, rule: str, state: AlertState) -> None:
        """Keep the state of one alert."""
        self._execute("HSET", keys.ALERTS, f"{device} {rule}", msgspec.json.encode(state))

    def drop(self, gone: set[tuple[str, str]]) -> None:
        """Forget alerts, by device id and name of the rule."""
        if gone:
            self._execute("HDEL", keys.ALERTS, *sorted(f"{device} {rule}" for device, rule in gone))

    def show_rules(self, rules: list[ShownRule], lifetime_s: int) -> None:
        """Say which rules are evaluated; call it again within that time, else nobody evaluates them any more."""
        self._execute("SET", keys.ALERT_RULES, msgspec.json.encode(rules), "EX", lifetime_s)

    def rules(self) -> list[ShownRule] | None:
        """Return the rules that are evaluated now; None if nobody evaluates any."""
        value = self._execute("GET", keys.ALERT_RULES)
        return None if value is None else _rules.decode(value)
