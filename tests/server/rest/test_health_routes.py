"""Health and metrics over HTTP: who may ask, and what people read."""

from clients import Client


def test_health_names_the_check_that_failed(client: Client) -> None:
    """The status is 200 or 503; with `verbose` there is a line for each check."""
    assert client.ask("/livez?verbose", token=None).text == "[+] process: ok\nalive\n"
    response = client.ask("/readyz?verbose", token=None)
    assert (response.status_code, response.mimetype) == (503, "text/plain")
    assert response.text.startswith("[+] store: ok\n[-] ingest: ingest is not connected")
    assert "ingest is not connected" in client.problem("/readyz", 503, token=None)
    client.store.heartbeat(60)
    assert client.ask("/readyz", token=None).json == {"status": "ready"}
    assert client.ask("/readyz?verbose", token=None).text == "[+] store: ok\n[+] ingest: ok\nready\n"


def test_metrics_require_a_token(client: Client) -> None:
    """Without a token, `/metrics` is 401."""
    assert "no token" in client.problem("/metrics", 401, token=None)
