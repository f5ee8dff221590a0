"""Metrics for Prometheus: the server's requests, and what the store and ingest have done."""

import importlib.metadata
import time
from collections.abc import Callable, Iterator
from typing import get_args

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from broker.messages import DeviceState
from server.errors import StoreAwayError
from server.store.redis_store import RedisStore

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus' text format."""
_STATES = (*get_args(DeviceState), "unknown")
_OUTCOMES = ("stored", "repeat", "expired", "erased", "refused", "later", "malformed")
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


def process_registry() -> CollectorRegistry:
    """Return a registry with the metrics of every process: version, memory, processor time and open files."""
    registry = CollectorRegistry()
    build = Info("moodwire_build", "Version of the server.", registry=registry)
    build.info({"version": importlib.metadata.version("moodwire")})
    ProcessCollector(registry=registry)
    return registry


def request_counter(registry: CollectorRegistry) -> Counter:
    """Return the counter of requests, registered."""
    return Counter(
        "moodwire_http_requests",
        "Requests answered, by route, method and class of status.",
        ["route", "method", "status"],
        registry=registry,
    )


class _Failures(Collector):
    """Counts requests with an unknown token."""

    def __init__(self, failures: Callable[[], int]) -> None:
        self._failures = failures

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        yield CounterMetricFamily(
            "moodwire_unknown_tokens", "Requests with an unknown token that were refused.", value=self._failures()
        )


def register_failures(registry: CollectorRegistry, failures: Callable[[], int]) -> None:
    """Register the counter of requests with an unknown token.

    Args:
        registry: Of the process.
        failures: Returns their number since the start.
    """
    registry.register(_Failures(failures))


class Metrics:
    """The metrics of one application over a store.

    No client chooses the value of a label: routes are patterns, not paths, and devices are only counted.
    """

    def __init__(self, app: Flask, store: RedisStore, failures: Callable[[], int]) -> None:
        self._registry = process_registry()
        self._requests = request_counter(self._registry)
        register_failures(self._registry, failures)
        self._durations = Histogram(
            "moodwire_http_request_duration_seconds",
            "Time from a request's arrival to its answer, by route.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(_StoreCollector(store))
        app.before_request(self._begin)
        app.after_request(self._end)

    def text(self) -> Response:
        """Return all metrics in Prometheus' text format."""
        return Response(generate_latest(self._registry), content_type=CONTENT_TYPE)

    def _begin(self) -> None:
        g.began_s = time.perf_counter()

    def _end(self, response: Response) -> Response:
        rule = request.url_rule
        route, method = (rule.rule, request.method) if rule else ("none", "any")
        self._requests.labels(route, method, f"{response.status_code // 100}xx").inc()
        self._durations.labels(route).observe(time.perf_counter() - g.began_s)
        return response


class _StoreCollector(Collector):
    """Reads the store when Prometheus reads the metrics."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the store; while it is away, only that."""
        up = GaugeMetricFamily("moodwire_store_up", "Whether the store answers.")
        try:
            found = list(self._read())
        except StoreAwayError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from found

    def _read(self) -> Iterator[Metric]:
        ingest = GaugeMetricFamily("moodwire_ingest_up", "Whether ingest is connected to broker and store.")
        state = self._store.ingest_state()
        ingest.add_metric([], state is not None)
        yield ingest
        doubted = GaugeMetricFamily(
            "moodwire_clock_doubted", "Whether ingest does not believe the clock of the store, and confirms nothing."
        )
        doubted.add_metric([], bool(state and state.doubt))
        yield doubted
        swept = self._store.retention.swept()
        last = GaugeMetricFamily(
            "moodwire_swept_timestamp_seconds", "When what is past the retention was last deleted; 0 for never."
        )
        last.add_metric([], swept.at / 1000)
        yield last
        yield CounterMetricFamily(
            "moodwire_sweeps_put_off", "Times that nothing was deleted because of a doubted clock.", value=swept.put_off
        )
        fleet, written = self._store.fleet(), self._store.outcome_counts()
        devices = GaugeMetricFamily("moodwire_devices", "Devices by their last state.", labels=["state"])
        for state in _STATES:
            devices.add_metric([state], fleet.states.get(state, 0))
        yield devices
        readings = GaugeMetricFamily("moodwire_readings", "Stored readings that have not been erased.")
        readings.add_metric([], fleet.readings)
        yield readings
        records = CounterMetricFamily("moodwire_records", "Records that devices sent, by outcome.", labels=["outcome"])
        for outcome in _OUTCOMES:
            records.add_metric([outcome], written.get(outcome, 0))
        yield records
