"""Metrics of the live process: its subscribers, what they were sent, and why they ended."""

from collections.abc import Callable
from enum import StrEnum

from prometheus_client import Counter, Gauge, generate_latest

from server.web import metrics


class Reason(StrEnum):
    """Why a subscriber ended."""

    CLIENT = "client"
    """The client closed the connection, or the system did after the client read nothing for a minute."""
    SLOW = "slow"
    """Its queue grew too long."""
    TOKEN = "token"  # noqa: S105 -- a word, no password
    """Its token was revoked."""
    STORE = "store"
    """The store did not answer while missed events were read."""
    STOP = "stop"
    """The process stopped."""


class LiveMetrics:
    """The metrics of one live process.

    Args:
        subscribers: Returns the current number of subscribers.
    """

    def __init__(self, subscribers: Callable[[], int]) -> None:
        self.registry = metrics.process_registry()
        self._requests = metrics.request_counter(self.registry)
        now = Gauge("moodwire_live_listeners", "Subscribers to live events.", registry=self.registry)
        now.set_function(subscribers)
        self.events = Counter("moodwire_live_events", "Events published by ingest.", registry=self.registry)
        self.sent = Counter(
            "moodwire_live_events_sent", "Events delivered, counted once for each subscriber.", registry=self.registry
        )
        self._ended = Counter(
            "moodwire_live_listeners_ended", "Subscribers that ended, by reason.", ["reason"], registry=self.registry
        )
        for reason in Reason:
            self._ended.labels(reason)  # so that a rate is there before the first one
        self.store_up = Gauge("moodwire_store_up", "Whether the store answers.", registry=self.registry)

    def answered(self, route: str, method: str, status: int) -> None:
        """Count a request whose response has begun."""
        self._requests.labels(route, method, f"{status // 100}xx").inc()

    def ended(self, reason: Reason) -> None:
        """Count a subscriber that ended."""
        self._ended.labels(reason).inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
