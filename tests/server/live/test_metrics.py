"""Prometheus reads who subscribes, what they got, and why they ended."""

from typing import Any

import pytest
import requests
from brokers import DEVICE
from clients import OPERATOR, VIEWER
from live_events import ALL, ONE, LiveServer, connected
from patience import REPLY_S
from prometheus_client.parser import text_string_to_metric_families
from records import status
from rooms import bearer
from services import wait_until

from server.errors import StoreAwayError
from server.live import broadcast


def samples(server: LiveServer) -> dict[tuple[str, ...], float]:
    """Return what /metrics says: name and values of the sorted labels → value."""
    answer = server.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_subscribers_and_events_are_counted(server: LiveServer) -> None:
    """Prometheus reads how many subscribe and what they got; no label has a value that a client chose."""
    server.send(DEVICE, status())
    with connected(server, ALL), connected(server, ONE) as client:
        wait_until(lambda: server.subscribers() == 2, "both listen")
        server.readings(0, 3)
        client.wait(3)
        requests.get(f"{server.url}/no/such/page", headers=bearer(VIEWER), timeout=REPLY_S)
        wait_until(lambda: samples(server)["moodwire_live_events_total",] == 4, "all events are counted")
        found = samples(server)
    assert found["moodwire_live_listeners",] == 2
    assert found["moodwire_live_events_sent_total",] in (6, 7, 8)  # whether they hear the status is a matter of time
    assert found["moodwire_store_up",] == 1
    assert found["moodwire_live_listeners_ended_total", "client"] == 0
    assert found["moodwire_http_requests_total", "GET", "none", "4xx"] == 1
    assert found["process_resident_memory_bytes",] > 1e6
    assert any(key[0] == "moodwire_build_info" for key in found)
    wait_until(lambda: samples(server)["moodwire_live_listeners_ended_total", "client"] == 2, "both have gone")
    found = samples(server)
    assert found["moodwire_live_listeners",] == 0
    assert found["moodwire_http_requests_total", "GET", ALL, "2xx"] == 1
    assert found["moodwire_http_requests_total", "GET", "/api/v1/devices/<mac>/live", "2xx"] == 1


def test_metrics_need_a_token(server: LiveServer) -> None:
    """Who may not listen may not read how many do."""
    assert requests.get(f"{server.url}/metrics", timeout=REPLY_S).status_code == 401


def test_the_reason_why_a_subscriber_ended_is_counted(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow subscribers, and those whose token was revoked, are told apart from clients that left."""
    monkeypatch.setattr("server.live.subscribers._QUEUE_BYTES", 0)
    server.send(DEVICE, status())
    with connected(server, ALL) as client:
        server.readings(0, 1)
        wait_until(lambda: client.ended, "the slow one is sent away")
    monkeypatch.setattr(broadcast, "_HEARTBEAT_S", 0.1)
    with connected(server, ONE, authorization=f"Bearer {OPERATOR}") as client:
        monkeypatch.setattr(server.guard, "from_settings", server.guard.from_settings[:1])
        wait_until(lambda: client.ended, "the one with the revoked token is sent away")
    found = samples(server)
    assert [found["moodwire_live_listeners_ended_total", reason] for reason in ("slow", "token", "client")] == [1, 1, 0]


def test_a_store_that_fails_while_missed_events_are_read_ends_the_stream(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has got nothing wrong, and resumes with the id that it had."""

    def away(*_: Any) -> None:
        raise StoreAwayError("the store does not answer")

    server.send(DEVICE, status())
    wait_until(lambda: server.broadcast.subscribers.position.ms > 0, "the event is told")
    monkeypatch.setattr(server.live_stream, "start", away)
    with connected(server, ALL, last_event_id="1-0.0") as client:
        wait_until(lambda: client.ended, "the stream ends")
    assert client.events == []
    assert samples(server)["moodwire_live_listeners_ended_total", "store"] == 1
