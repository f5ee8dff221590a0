"""Health and metrics over HTTP: who may ask, and what people read."""

import time

import pytest
from clients import Client
from services import wait_until

from server.rest import health_routes


def test_health_names_the_check_that_failed(client: Client) -> None:
    """The status is 200 or 503; with `verbose` there is a line for each check."""
    assert client.ask("/livez?verbose", token=None).text == "[+] process: ok\nalive\n"
    response = client.ask("/readyz?verbose", token=None)
    assert (response.status_code, response.mimetype) == (503, "text/plain")
    assert response.text.startswith("[+] store: ok\n[-] ingest: ingest is not connected")
    assert "ingest is not connected" in client.problem("/readyz", 503, token=None)
    client.store.heartbeat(60)
    wait_until(lambda: client.ask("/readyz", token=None).json == {"status": "ready"}, "a second later it is ready")
    assert client.ask("/readyz?verbose", token=None).text == "[+] store: ok\n[+] ingest: ok\nready\n"


def test_a_flood_of_questions_whether_it_is_ready_asks_the_store_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers may ask, so it must cost next to nothing."""
    asked = []
    monkeypatch.setattr(health_routes, "check_readiness", lambda _store: asked.append(1) or {"store": "ok"})
    since_s = time.monotonic()
    assert {client.ask("/readyz", token=None).status_code for _ in range(100)} == {200}
    assert len(asked) <= 1 + time.monotonic() - since_s


def test_metrics_require_a_token(client: Client) -> None:
    """Without a token, `/metrics` is 401."""
    assert "no token" in client.problem("/metrics", 401, token=None)
