"""Alert rules as a file has them, and when a rule raises and clears an alert; pure, without clock or store."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from broker import topics
from broker.messages import Label, Probability, ShortText
from common import files, urls
from server.errors import UnusableError
from server.store.alert_states import AlertState, ShownRule
from server.store.types import Device

MINUTE_MS = 60_000
_TOPIC = re.compile(r"[^+#\x00$][^+#\x00]{0,255}")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to notify whom about what; one `[[rule]]` of the file."""

    name: Annotated[ShortText, Meta(min_length=1)]
    label: Label
    above: Probability
    """Mean score that raises the alert, 0 to 1."""
    below: Probability
    """Mean score under which the alert is cleared; lower than `above`, so that noise does not toggle it."""
    device: str = "*"
    """Pattern with `*` and `?` for the name or MAC address of devices."""
    over_minutes: Annotated[int, Meta(ge=1, le=1440)] = 5
    """Length of the mean, up to now."""
    least_readings: Annotated[int, Meta(ge=1)] = 10
    """Readings that a decision needs."""
    cooldown_minutes: Annotated[int, Meta(ge=0, le=10_080)] = 30
    """Least time between two raises."""
    webhook: str | None = None
    """URL (http or https) that gets a POST; set this or `topic`."""
    topic: str | None = None
    """MQTT topic."""

    def matches(self, device: Device) -> bool:
        """Return whether the rule applies to a device."""
        names = (device.id, topics.mac_address(device.id), device.name)
        return any(fnmatchcase(name, self.device) for name in names)

    def shown(self) -> ShownRule:
        """Return what viewers may see."""
        notifies: Literal["webhook", "topic"] = "webhook" if self.webhook else "topic"
        facts = {name: getattr(self, name) for name in ShownRule.__struct_fields__ if name != "notifies"}
        return ShownRule(**facts, notifies=notifies)


class Measured(NamedTuple):
    """The readings of one device in a rule's minutes."""

    mean: float
    """Mean score of the label; 0 without readings."""
    readings: int


Change = Literal["raised", "cleared"]


def evaluate(rule: Rule, state: AlertState, now: int, measured: Measured) -> tuple[AlertState, Change | None]:
    """Return the next state of an alert, and how it changed.

    A mean of at least `above` raises it; a mean under `below`, or silence, clears it.
    """
    decided = measured.readings >= rule.least_readings
    if state.raised and (measured.readings == 0 or (decided and measured.mean < rule.below)):
        mean = measured.mean if measured.readings else None
        return AlertState(raised=False, raised_at=state.raised_at, changed_at=now, mean=mean), "cleared"
    quiet = state.raised_at is not None and now < state.raised_at + rule.cooldown_minutes * MINUTE_MS
    if not state.raised and decided and measured.mean >= rule.above and not quiet:
        return AlertState(raised=True, raised_at=now, changed_at=now, mean=measured.mean), "raised"
    return state, None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: Annotated[list[Rule], Meta(min_length=1)]


def load(path: Path) -> list[Rule]:
    """Return the rules of a file.

    Raises:
        UnusableError: the file cannot be read, or a rule in it is invalid.
    """
    try:
        rules = msgspec.toml.decode(files.read_text(path), type=_File).rule
    except OSError as error:
        raise UnusableError(f"cannot read the rules in {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UnusableError(f"cannot use the rules in {path}: {error}") from error
    except ValueError as error:  # not UTF-8
        raise UnusableError(f"cannot use the rules: {error}") from error
    names = [rule.name for rule in rules]
    for rule in rules:
        problem = "another rule has this name; rename one" if names.count(rule.name) > 1 else _problem(rule)
        if problem:
            raise UnusableError(f"cannot use rule {rule.name!r} in {path}: {problem}")
    return rules


def _problem(rule: Rule) -> str | None:
    """Return what is wrong with a rule beyond its types, and what to do; None if nothing is."""
    if rule.below >= rule.above:
        return f"below is {rule.below} and above is {rule.above}; set below lower than above"
    if (rule.webhook is None) == (rule.topic is None):
        return "set either webhook or topic"
    if rule.topic is not None and not _TOPIC.fullmatch(rule.topic):
        return f"cannot publish on topic {rule.topic!r}; use no + or #, and no $ at the start"
    if rule.webhook is not None:
        try:
            urls.check_http(rule.webhook)
        except ValueError as error:
            return f"webhook is no URL that can be used: {error}"
    return None
