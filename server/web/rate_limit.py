"""Rate limit: requests a minute for each client, as a token bucket, and the largest body of a request."""

import math
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from flask import Flask, request

from common.listening import HEALTH
from server.errors import ProblemError
from server.web.auth import Guard

MAX_BODY_BYTES = 65_536
_BURST_S = 10.0
"""A full bucket holds what flows in during so many seconds."""
_MAX_BUCKETS = 10_000
UNLIMITED = frozenset(HEALTH)
"""An orchestrator must not restart a server, or send it nothing more, because it is busy."""


class Buckets:
    """Token buckets, one for each client; it refills at a steady rate, and each request takes one from it.

    Args:
        per_minute: Requests that flow into a bucket.
        clock_s: Returns the time in seconds, since any start.
    """

    def __init__(self, per_minute: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_minute / 60
        self._capacity = max(self._per_s * _BURST_S, 1.0)
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}
        """Client → requests left, and when that was."""

    def take(self, client: str) -> float:
        """Take one request from a client's bucket; return 0, or the seconds until there is one."""
        with self._lock:
            now_s = self._clock_s()
            if len(self._buckets) >= _MAX_BUCKETS:
                self._forget_full(now_s)
            left, then_s = self._buckets.get(client, (self._capacity, now_s))
            left = min(left + (now_s - then_s) * self._per_s, self._capacity)
            if left < 1:
                return (1 - left) / self._per_s
            self._buckets[client] = (left - 1, now_s)
            return 0.0

    def _forget_full(self, now_s: float) -> None:
        """Forget the clients whose buckets are full again; if there are none, forget all."""
        self._buckets = {
            client: (left, then_s)
            for client, (left, then_s) in self._buckets.items()
            if left + (now_s - then_s) * self._per_s < self._capacity
        }
        if len(self._buckets) >= _MAX_BUCKETS:
            self._buckets.clear()


class RateLimit:
    """How many requests each token may send from each address.

    Args:
        guard: Knows the tokens. Each has buckets of its own, so that a client without one cannot empty them from
            the same address.
        per_minute: For each token and address; 0 for no limit.
    """

    def __init__(self, guard: Guard, per_minute: int) -> None:
        self._guard = guard
        self._per_minute = per_minute
        self._buckets = Buckets(per_minute) if per_minute else None

    def check(self, authorization: str | None, address: str | None) -> None:
        """Count a request.

        Args:
            authorization: Its header of that name.
            address: Of the client.

        Raises:
            ProblemError: 429, there were too many.
        """
        if self._buckets is None:
            return
        token = self._guard.find(authorization)
        wait_s = math.ceil(self._buckets.take(f"{token.name if token else ''} {address}"))
        if wait_s:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._per_minute} requests a minute: try again in {wait_s} s",
                retry_s=wait_s,
            )


def add_limits(app: Flask, guard: Guard, per_minute: int) -> None:
    """Refuse requests that are too large or too many."""
    limit = RateLimit(guard, per_minute)

    @app.before_request
    def refuse() -> None:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body has {request.content_length} bytes: send at most {MAX_BODY_BYTES}",
            )
        if request.path not in UNLIMITED:
            limit.check(request.headers.get("Authorization"), request.remote_addr)
