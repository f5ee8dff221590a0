"""Rules of alerts as a file has them, and when one raises and clears an alert; no clock and no store in here."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from broker import topics
from broker.messages import Label, Probability, ShortText
from server.errors import UnusableError
from server.store.types import Device

MINUTE_MS = 60_000
_TOPIC = re.compile(r"[^+#\x00$][^+#\x00]{0,255}")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When to tell whom of what; one `[[rule]]` of the file."""

    name: Annotated[ShortText, Meta(min_length=1)]
    label: Label
    above: Probability
    """The mean score that raises the alert."""
    below: Probability
    """The mean score under which it is over; the distance keeps it from coming and going."""
    device: str = "*"
    """Which devices: a pattern with `*` and `?` for MAC address or name."""
    over_minutes: Annotated[int, Meta(ge=1, le=1440)] = 5
    """How long the mean reaches back."""
    least_readings: Annotated[int, Meta(ge=1)] = 10
    """With fewer readings nothing is decided."""
    cooldown_minutes: Annotated[int, Meta(ge=0, le=10_080)] = 30
    """How long an alert is not raised again."""
    webhook: str | None = None
    """http:// or https:// URL that gets a POST; this or `topic`."""
    topic: str | None = None
    """MQTT topic."""

    def matches(self, device: Device) -> bool:
        """Return whether the rule is about a device."""
        names = (device.id, topics.mac_address(device.id), device.name)
        return any(fnmatchcase(name, self.device) for name in names)


class Measured(NamedTuple):
    """What was heard in a rule's time."""

    mean: float
    """Mean score of the label; 0 without readings."""
    readings: int


class State(msgspec.Struct, frozen=True):
    """What is known of one rule and device."""

    raised: bool = False
    raised_at: int | None = None
    """Unix ms of the last time; the cooldown counts from it."""


Change = Literal["raised", "cleared"]


def step(rule: Rule, state: State, now: int, measured: Measured) -> tuple[State, Change | None]:
    """Return the next state, and what has changed if that is to be told.

    An alert is raised by a mean of at least `above`, and over below `below` or when nobody speaks any more.
    """
    decided = measured.readings >= rule.least_readings
    if state.raised and (measured.readings == 0 or (decided and measured.mean < rule.below)):
        return State(raised=False, raised_at=state.raised_at), "cleared"
    quiet = state.raised_at is not None and now < state.raised_at + rule.cooldown_minutes * MINUTE_MS
    if not state.raised and decided and measured.mean >= rule.above and not quiet:
        return State(raised=True, raised_at=now), "raised"
    return state, None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: Annotated[list[Rule], Meta(min_length=1)]


def load(path: Path) -> list[Rule]:
    """Return the rules of a file.

    Raises:
        UnusableError: it cannot be read, or a rule is not right.
    """
    try:
        rules = msgspec.toml.decode(path.read_bytes(), type=_File).rule
    except OSError as error:
        raise UnusableError(f"rules {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnusableError(f"rules {path} is not right: {error}") from error
    names = [rule.name for rule in rules]
    for rule in rules:
        problem = "another rule has the same name" if names.count(rule.name) > 1 else _problem(rule)
        if problem:
            raise UnusableError(f"rules {path}: {rule.name!r} is not right: {problem}")
    return rules


def _problem(rule: Rule) -> str | None:
    """Return what is wrong with a rule beyond the types, in a few words."""
    if rule.below >= rule.above:
        return f"below is {rule.below} and above is {rule.above}: a lower below is right"
    if (rule.webhook is None) == (rule.topic is None):
        return "either webhook or topic is right"
    if rule.topic is not None and not _TOPIC.fullmatch(rule.topic):
        return f"topic {rule.topic!r} cannot be published on: no + and #, and no $ at the start, is right"
    if rule.webhook is not None:
        try:
            parts = urlsplit(rule.webhook)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            return "webhook is no http:// or https:// URL"
    return None
