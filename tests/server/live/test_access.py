"""The live process serves whom it should, no more than it can, and tells Prometheus about it."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests
from brokers import DEVICE
from clients import OPERATOR, VIEWER
from listening import ALL, ONE, Server, listening
from prometheus_client.parser import text_string_to_metric_families
from records import status
from rooms import bearer
from services import RunningStore, wait_until

from server.errors import StoreAwayError
from server.live import broadcast

PAGE = "https://page.example"


@pytest.fixture
def open_server(redis_store: RunningStore) -> Iterator[Server]:
    """Serve live events to pages of one site, twelve requests in a minute."""
    server = Server(redis_store, cors_origins=PAGE, requests_per_minute=12)
    yield server
    server.stop()


def samples(server: Server) -> dict[tuple[str, ...], float]:
    """Return what /metrics says: name and values of the sorted labels → value."""
    answer = server.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_pages_of_other_sites_hear_nothing_by_default(server: Server) -> None:
    """No header lets a browser give a stream to a page of another origin, and a preflight is refused."""
    with listening(server, ALL, origin=PAGE) as client:
        headers = client.response.headers
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    assert requests.options(server.url + ALL, headers=bearer(VIEWER) | asked, timeout=10).status_code == 405


def test_pages_that_the_setting_names_may_listen(open_server: Server) -> None:
    """A named origin gets its preflight without a token, may come again where it was, and reads problems too."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,last-event-id"}
    preflight = requests.options(open_server.url + ALL, headers=asked | {"Origin": PAGE}, timeout=10)
    assert preflight.status_code == 200
    assert {"Authorization", "Last-Event-ID"} < set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    with listening(open_server, ALL, origin=PAGE) as client:
        assert client.response.headers["Access-Control-Allow-Origin"] == PAGE
        assert client.response.headers["Vary"] == "Origin"
    refused = open_server.get("/api/v1/nothing", Origin=PAGE)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (404, PAGE)
    assert "Access-Control-Allow-Origin" not in open_server.get(ALL.upper(), Origin=f"{PAGE}.evil.example").headers


def test_too_many_requests_are_refused_for_each_token_alone(open_server: Server) -> None:
    """A token that asks more often than the setting allows is told when to come; another one is still served."""
    statuses = [open_server.get("/readyz") for _ in range(4)]
    refused = statuses[-1]
    assert [answer.status_code for answer in statuses] == [200, 200, 429, 429]
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "12 in a minute are taken" in refused.json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 5
    assert requests.get(f"{open_server.url}/readyz", headers=bearer(OPERATOR), timeout=10).ok
    assert open_server.get("/livez").json() == {"status": "alive"}


def test_no_more_than_some_may_listen(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has taken the places of one client, or comes when all are taken, is told to come later."""
    monkeypatch.setattr(broadcast, "_MAX_PER_CLIENT", 2)
    with listening(server, ALL), listening(server, ALL):
        refused = server.get(ALL)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert "has 2 live connections from this address" in refused.json()["detail"]
        with listening(server, ALL, authorization=f"Bearer {OPERATOR}"):
            pass
    wait_until(lambda: not server.broadcast._per_client, "places are free again")
    monkeypatch.setattr(broadcast, "_MAX_SUBSCRIBERS", 0)
    refused = server.get(ALL)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")


def test_only_get_is_possible(server: Server) -> None:
    """Another method is 405 and told which one is right."""
    for ask in (requests.post, requests.head):
        refused = ask(server.url + ALL, headers=bearer(VIEWER), timeout=10)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


def test_listeners_and_events_are_counted(server: Server) -> None:
    """Prometheus reads who listens and what they got; no label has a value that a client chose."""
    server.send(DEVICE, status())
    with listening(server, ALL), listening(server, ONE) as client:
        wait_until(lambda: server.subscribers() == 2, "both listen")
        server.readings(0, 3)
        client.wait(3)
        requests.get(f"{server.url}/no/such/page", headers=bearer(VIEWER), timeout=10)
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


def test_metrics_take_a_token_like_everything(server: Server) -> None:
    """Who may not listen may not read how many do."""
    assert requests.get(f"{server.url}/metrics", timeout=10).status_code == 401


def test_why_listeners_were_sent_away_is_counted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow ones, and those whose token was revoked, are told apart from those who went."""
    monkeypatch.setattr("server.live.subscribers._QUEUE_BYTES", 0)
    server.send(DEVICE, status())
    with listening(server, ALL) as client:
        server.readings(0, 1)
        wait_until(lambda: client.ended, "the slow one is sent away")
    monkeypatch.setattr(broadcast, "_HEARTBEAT_S", 0.1)
    with listening(server, ONE, authorization=f"Bearer {OPERATOR}") as client:
        monkeypatch.setattr(server.guard, "_given", server.guard._given[:1])
        wait_until(lambda: client.ended, "the one with the revoked token is sent away")
    found = samples(server)
    assert [found["moodwire_live_listeners_ended_total", reason] for reason in ("slow", "token", "client")] == [1, 1, 0]


def test_a_store_that_goes_while_what_was_missed_is_read_ends_the_stream(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has heard nothing wrong, and comes again with the id that it had."""

    def away(*_: Any) -> None:
        raise StoreAwayError("the store does not answer")

    server.send(DEVICE, status())
    wait_until(lambda: server.broadcast.subscribers.position.ms > 0, "the event is told")
    monkeypatch.setattr(server.live_stream, "start", away)
    with listening(server, ALL, last_event_id="1-0.0") as client:
        wait_until(lambda: client.ended, "the stream ends")
    assert client.events == []
    assert samples(server)["moodwire_live_listeners_ended_total", "store"] == 1


def test_half_a_request_harms_nobody(server: Server) -> None:
    """Bytes that are no request are answered 400 or dropped, and others are served on."""
    with closing(socket.create_connection(server.url.removeprefix("http://").split(":"))) as client:  # type: ignore[arg-type]
        client.sendall(b"\x16\x03\x01 no request\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert server.get("/readyz").ok
