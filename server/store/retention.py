"""What is past the retention is deleted by a sweep over all devices; nothing that was accepted expires by itself.

Redis knows no other clock than its own, and one that jumps ahead would take everything that it expires. So the caller
says until when it believes the clocks, and the store deletes whole days (UTC) before that, less the retention.
"""

import logging
import time
from typing import NamedTuple

from server.store import full, keys
from server.store.types import ExecuteAll, Word

log = logging.getLogger(__name__)

_DEVICES_A_STEP = 50
_KEPT_A_STEP = 10
"""Of a device with two years of rollups, some 20,000 keys are looked at."""
_ALL = "all"


class Swept(NamedTuple):
    """What sweeps have done so far; times in Unix ms by the store's clock."""

    at: int
    """When the last one ended, 0 for never."""
    until: int
    """Until when the clocks were believed then."""
    put_off: int
    """How often one was put off."""
    reason: str
    """Why the last one was put off; empty if it was not."""


class Step(NamedTuple):
    """What one step of a sweep has done."""

    days: int
    """Of all its devices, the days whose records were deleted."""
    after: str | None
    """The device after which the next step goes on; None at the end."""
    refusal: str
    """Why the store did nothing; empty if it did."""


class Retention:
    """The sweep's half in the store; each call looks at few devices.

    Every method raises `StoreAwayError` when the store cannot answer.

    Args:
        execute_all: Sends commands to the store and returns their replies.
        keep_ms: How long readings and heard records are kept.
        keep_rollups_ms: How long rollups, events and boots are kept.
    """

    def __init__(self, execute_all: ExecuteAll, keep_ms: int, keep_rollups_ms: int) -> None:
        self._execute_all = execute_all
        self._keep = (keep_ms, keep_rollups_ms)

    def begin(self, now_ms: int) -> int:
        """Return until when the clocks were believed at the last sweep; at the very first one it is now."""
        self._execute_all([full.command("HSETNX", keys.RETENTION, "until", now_ms)])
        return self.swept().until

    def sweep(self, after: str, until_ms: int) -> Step:
        """Delete what is past the retention of the next few devices.

        Args:
            after: Device after which to begin; empty for the first.
            until_ms: Until when the caller believes the clocks.
        """
        devices = self._next(after, _DEVICES_A_STEP)
        own_ms = time.time_ns() // 1_000_000
        answers = self._execute_all(
            [
                ("FCALL", keys.function("sweep"), 1, keys.base(device), *self._keep, own_ms, until_ms)
                for device in devices
            ]
        )
        days, is_more, refusal = 0, False, ""
        for device, answer in zip(devices, answers, strict=True):
            if isinstance(answer, list):
                days += answer[0]
                is_more |= bool(answer[1])
            elif answer.startswith(b"the clock"):
                refusal = answer.decode()
            else:
                log.error("what is past the retention of %s cannot be deleted: %s", device, answer.decode())
        if refusal or is_more:
            return Step(days, after, refusal)
        return Step(days, devices[-1] if len(devices) == _DEVICES_A_STEP else None, "")

    def end(self, now_ms: int, until_ms: int) -> None:
        """Note that a sweep went through all devices."""
        facts: list[Word] = ["at", now_ms, "until", until_ms, "reason", ""]
        self._execute_all([full.command("HSET", keys.RETENTION, *facts)])

    def put_off(self, reason: str) -> None:
        """Note that a sweep was put off, and why."""
        self._execute_all(
            [
                full.command("HINCRBY", keys.RETENTION, "put_off", 1),
                full.command("HSET", keys.RETENTION, "reason", reason),
            ]
        )

    def swept(self) -> Swept:
        """Return what sweeps have done so far."""
        (found,) = self._execute_all([("HMGET", keys.RETENTION, "at", "until", "put_off", "reason")])
        at, until, put_off, reason = found
        return Swept(int(at or 0), int(until or 0), int(put_off or 0), (reason or b"").decode())

    def keep(self) -> bool:
        """Take the expiry from keys that an older version wrote, of the next few devices; return whether all are done.

        How far it got is kept in the store, so it goes on after a restart.
        """
        (done,) = self._execute_all([("HGET", keys.RETENTION, "kept")])
        after = (done or b"").decode()
        if after == _ALL:
            return True
        devices = self._next(after, _KEPT_A_STEP)
        replies = self._execute_all([("FCALL", keys.function("keep"), 1, keys.base(device)) for device in devices])
        for device, (answer,) in zip(devices, replies, strict=True):
            if answer:
                log.error("the keys of %s may still expire: %s", device, answer.decode())
        reached = devices[-1] if len(devices) == _KEPT_A_STEP else _ALL
        self._execute_all([full.command("HSET", keys.RETENTION, "kept", reached)])
        return reached == _ALL

    def _next(self, after: str, count: int) -> list[str]:
        """Return so many devices that were ever met, in the order of their ids."""
        first = f"({after}" if after else "-"
        (members,) = self._execute_all([("ZRANGEBYLEX", keys.DEVICES, first, "+", "LIMIT", 0, count)])
        return [member.decode() for member in members]


def horizon(now_ms: int, keep_ms: int) -> int:
    """Return the start of the first day (UTC) that is not wholly past a retention, Unix ms."""
    return (now_ms - keep_ms) // keys.DAY_MS * keys.DAY_MS
