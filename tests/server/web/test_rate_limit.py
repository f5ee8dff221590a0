"""A client may send so many requests a minute and so large a body, and is told when to try again."""

from contextlib import closing

import pytest
from clients import OPERATOR, URL, Client
from hypothesis import given
from hypothesis import strategies as st
from services import RunningStore

from server.web import rate_limit
from server.web.rate_limit import MAX_BODY_BYTES, Buckets


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), max_size=50))
def test_a_bucket_gives_no_more_than_flows_in(per_minute: int, pauses_s: list[float]) -> None:
    """It takes no more than a burst and what flowed in, and serves a client that waited as told."""
    clock_s = [0.0]
    buckets = Buckets(per_minute, lambda: clock_s[0])
    taken = 0
    for pause_s in pauses_s:
        clock_s[0] += pause_s
        wait_s = buckets.take("a")
        taken += not wait_s
        assert taken <= max(per_minute / 6, 1) + clock_s[0] * per_minute / 60 + 1e-6
        if wait_s:
            clock_s[0] += wait_s + 1e-6
            assert buckets.take("a") == 0
            taken += 1


def test_buckets_are_forgotten_when_they_are_full_or_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of buckets stays bounded, and full ones are forgotten first."""
    monkeypatch.setattr(rate_limit, "_MAX_BUCKETS", 10)
    clock_s = [0.0]
    buckets = Buckets(6, lambda: clock_s[0])
    assert buckets.take("a") == 0
    clock_s[0] = 5.0
    for number in range(9):
        buckets.take(str(number))
    clock_s[0] = 10.0  # now the bucket of a is full again
    buckets.take("b")
    assert len(buckets._buckets) == 10
    assert "a" not in buckets._buckets
    for number in range(100):
        buckets.take(f"c{number}")
    assert len(buckets._buckets) <= 10


def test_too_many_requests_get_retry_after(redis_store: RunningStore) -> None:
    """After the burst a client gets 429 with Retry-After; another token is still served, and health to all."""
    with closing(Client(redis_store, requests_per_minute=12)) as client:
        assert [client.ask("/api/v1/meta").status_code for _ in range(2)] == [200, 200]
        response = client.ask("/api/v1/meta")
        assert 1 <= int(response.headers["Retry-After"]) <= 5
        assert "more than 12 requests a minute: try again in" in client.problem("/api/v1/meta", 429)
        assert client.ask("/api/v1/meta", token=OPERATOR).status_code == 200
        for path, status in (("/livez", 200), ("/readyz", 503)):  # there is no ingest
            assert [client.ask(path, token=None).status_code for _ in range(9)] == [status] * 9


def test_guessing_tokens_is_limited(redis_store: RunningStore) -> None:
    """Unknown tokens share the bucket of their address, and cannot empty that of a known one."""
    with closing(Client(redis_store, requests_per_minute=18)) as client:
        guesses = [client.ask("/api/v1/meta", token=f"guess-{number}").status_code for number in range(5)]
        assert guesses == [401, 401, 401, 429, 429]
        assert client.ask("/api/v1/meta").status_code == 200


def test_a_dashboard_stays_below_the_limit(client: Client) -> None:
    """By default a burst of a thousand requests passes."""
    assert {client.ask("/api/v1/meta").status_code for _ in range(1000)} == {200}


def test_a_large_body_is_refused(client: Client) -> None:
    """It is 413, and the problem names the limit."""
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    response = client.flask.delete(URL, data=b"x" * (MAX_BODY_BYTES + 1), headers=headers)
    assert (response.status_code, response.mimetype) == (413, "application/problem+json")
    assert "send at most 65536" in response.json["detail"]
