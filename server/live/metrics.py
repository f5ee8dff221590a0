"""What the live process tells Prometheus: who listens, what they got, and why they went."""

from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus

from prometheus_client import Counter, Gauge, generate_latest

from server.web import metrics


class Reason(StrEnum):
    """Why a client listens no more."""

    CLIENT = "client"
    """It went, or took nothing for so long that the system gave it up."""
    SLOW = "slow"
    """Too much waited for it."""
    TOKEN = "token"  # noqa: S105 -- a word, no password
    """Its token was revoked."""
    STORE = "store"
    """What it had missed could not be read."""
    STOP = "stop"
    """This process stops."""


class LiveMetrics:
    """The metrics of one live process.

    Args:
        listeners: Tells how many listen.
    """

    def __init__(self, listeners: Callable[[], int]) -> None:
        self._registry = metrics.of_process()
        self._requests = metrics.of_requests(self._registry)
        now = Gauge("moodwire_live_listeners", "Clients that listen.", registry=self._registry)
        now.set_function(listeners)
        self.events = Counter("moodwire_live_events", "Events that ingest has told.", registry=self._registry)
        self.sent = Counter(
            "moodwire_live_events_sent", "Events passed on, once for each listener.", registry=self._registry
        )
        self._ended = Counter(
            "moodwire_live_listeners_ended",
            "Clients that listen no more: they went, were too slow, or were sent away.",
            ["reason"],
            registry=self._registry,
        )
        for reason in Reason:
            self._ended.labels(reason)  # so that a rate is there before the first one
        self.store_up = Gauge("moodwire_store_up", "Whether the store answers.", registry=self._registry)

    def answered(self, route: str, method: str, status: HTTPStatus) -> None:
        """Count a request whose answer has begun."""
        self._requests.labels(route, method, f"{status // 100}xx").inc()

    def ended(self, reason: Reason) -> None:
        """Count a listener that is no more."""
        self._ended.labels(reason).inc()

    def text(self) -> bytes:
        """Return everything in the text format that Prometheus reads."""
        return generate_latest(self._registry)
