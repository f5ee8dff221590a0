"""How much one client may ask: the size of a request, and how many in a minute (a token bucket for each client)."""

import math
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, request

from server.errors import ProblemError
from server.web.auth import Guard

MAX_BODY_BYTES = 65_536
_BURST_S = 10.0
"""What so many seconds allow may come at once."""
_MOST_BUCKETS = 10_000
_FREE = frozenset(["/livez"])
"""An orchestrator must not restart a server because it is busy."""


class Buckets:
    """How many requests each client may still make; one bucket fills for each of them.

    Args:
        per_minute: Requests that flow into a bucket.
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, per_minute: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._most = max(self._per_s * _BURST_S, 1.0)
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        """Client → what was left, and when."""

    def take(self, client: str) -> float:
        """Take one request from a client's bucket; return 0, or in how many seconds there will be one."""
        with self._lock:
            now_s = self._clock_s()
            if len(self._buckets) >= _MOST_BUCKETS:
                self._forget_full(now_s)
            left, then_s = self._buckets.get(client, (self._most, now_s))
            left = min(left + (now_s - then_s) * self._per_s, self._most)
            if left < 1:
                return (1 - left) / self._per_s
            self._buckets[client] = (left - 1, now_s)
            return 0.0

    def _forget_full(self, now_s: float) -> None:
        """Forget who has not asked for so long that the bucket is full again; if nobody is, forget everybody."""
        self._buckets = {
            client: (left, then_s)
            for client, (left, then_s) in self._buckets.items()
            if left + (now_s - then_s) * self._per_s < self._most
        }
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets.clear()


class Limit:
    """How many requests each token may send from each address.

    Args:
        guard: Knows whose tokens are good: these have buckets of their own, so that nobody who shares their address
            can empty them.
        per_minute: For each token and address; 0 for no limit.
    """

    def __init__(self, guard: Guard, per_minute: int) -> None:
        self._guard = guard
        self._per_minute = per_minute
        self._buckets = Buckets(per_minute) if per_minute else None

    def check(self, authorization: str | None, address: str | None) -> None:
        """Let a request pass.

        Raises:
            ProblemError: 429, there were too many.
        """
        if self._buckets is None:
            return
        held = self._guard.holder(authorization)
        wait_s = math.ceil(self._buckets.take(f"{held.name if held else ''} {address}"))
        if wait_s:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"there were too many requests: {self._per_minute} in a minute are taken; try again in {wait_s} s",
                retry_s=wait_s,
            )


def add_limits(app: Flask, guard: Guard, per_minute: int) -> None:
    """Refuse requests that are too large or too many."""
    limit = Limit(guard, per_minute)

    @app.before_request
    def refuse() -> None:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the request's body has {request.content_length} bytes: {MAX_BODY_BYTES} are the most",
            )
        if request.path not in _FREE:
            limit.check(request.headers.get("Authorization"), request.remote_addr)
