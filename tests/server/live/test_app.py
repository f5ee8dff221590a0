"""Who may subscribe: tokens, origins, limits, and problems for the rest."""

import socket
from collections.abc import Iterator

import pytest
import requests
from clients import OPERATOR, VIEWER
from live_events import ALL, LiveServer, connected
from patience import REPLY_S
from rooms import bearer
from services import RunningStore, wait_until

from server.live import places

PAGE = "https://page.example"


@pytest.fixture
def open_server(redis_store: RunningStore) -> Iterator[LiveServer]:
    """Serve live events to pages of one site, twelve requests in a minute."""
    server = LiveServer(redis_store, cors_origins=PAGE, requests_per_minute=12)
    yield server
    server.stop()


def test_other_origins_are_refused_by_default(server: LiveServer) -> None:
    """No header lets a browser give a stream to a page of another origin, and a preflight is refused."""
    with connected(server, ALL, origin=PAGE) as client:
        headers = client.response.headers
    assert not [name for name in headers if name.startswith("Access-Control")]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    assert requests.options(server.url + ALL, headers=bearer(VIEWER) | asked, timeout=REPLY_S).status_code == 405


def test_origins_of_the_setting_may_subscribe(open_server: LiveServer) -> None:
    """A named origin gets its preflight without a token, may resume, and reads problems too."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,last-event-id"}
    preflight = requests.options(open_server.url + ALL, headers=asked | {"Origin": PAGE}, timeout=REPLY_S)
    assert preflight.status_code == 200
    assert {"Authorization", "Last-Event-ID"} < set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    with connected(open_server, ALL, origin=PAGE) as client:
        assert client.response.headers["Access-Control-Allow-Origin"] == PAGE
        assert client.response.headers["Vary"] == "Origin"
    refused = open_server.get("/api/v1/nothing", Origin=PAGE)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (404, PAGE)
    assert "Access-Control-Allow-Origin" not in open_server.get(ALL.upper(), Origin=f"{PAGE}.evil.example").headers


def test_the_rate_limit_counts_each_token_alone(open_server: LiveServer) -> None:
    """A token that asks more often than the setting allows is told when to come; another one is still served."""
    statuses = [open_server.get("/metrics") for _ in range(4)]
    refused = statuses[-1]
    assert [answer.status_code for answer in statuses] == [200, 200, 429, 429]
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert "more than 12 requests a minute" in refused.json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 5
    assert requests.get(f"{open_server.url}/metrics", headers=bearer(OPERATOR), timeout=REPLY_S).ok
    assert open_server.get("/metrics", Host="x/livez?").status_code == 429


def test_health_is_told_in_a_flood(open_server: LiveServer) -> None:
    """Whoever asks whether the process lives and is ready is not counted."""
    for path, word in (("/livez", "alive"), ("/readyz", "ready")):
        assert [open_server.get(path).json() for _ in range(9)] == [{"status": word}] * 9
        assert requests.head(f"{open_server.url}{path}", timeout=REPLY_S).ok


def test_an_unknown_token_is_told_to_wait_after_ten(server: LiveServer) -> None:
    """A known one of the same address is not."""
    answers = [server.get(ALL, Authorization="Bearer wrong") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert "moodwire_unknown_tokens_total 11.0" in server.get("/metrics").text


def test_places_are_limited(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token with its limit of connections is told when to retry, and so is a viewer when only operators' are left."""
    monkeypatch.setattr(places, "OF_A_TOKEN", 2)
    with connected(server, ALL), connected(server, ALL):
        refused = server.get(ALL)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert "this token has 2 live connections" in refused.json()["detail"]
        monkeypatch.setattr(places, "OF_A_TOKEN", 3)
        monkeypatch.setattr(places, "FOR_VIEWERS", 2)
        refused = server.get(ALL)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
        assert "there are 2 live connections, the limit for viewer tokens" in refused.json()["detail"]
        with connected(server, ALL, authorization=f"Bearer {OPERATOR}"):
            pass
    wait_until(lambda: not server.broadcast._places._tokens, "places are free again")


@pytest.mark.parametrize("head", ["Content-Length: 600000000", "Transfer-Encoding: chunked"])
def test_a_body_is_not_read(server: LiveServer, head: str) -> None:
    """Whoever sends one is told so and cut off, with a token or without."""
    host, port = server.url.removeprefix("http://").split(":")
    for token in (VIEWER, "wrong"):
        with socket.create_connection((host, int(port)), timeout=REPLY_S) as client:
            request = f"GET {ALL} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n{head}\r\n\r\n"
            client.sendall(request.encode())
            answer = b"".join(iter(lambda: client.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"the request has a body: ask for live events without one" in answer


def test_only_get_is_allowed(server: LiveServer) -> None:
    """Another method, HEAD too, is 405 and told to use GET."""
    for ask in (requests.post, requests.head):
        refused = ask(server.url + ALL, headers=bearer(VIEWER), timeout=REPLY_S)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("path", "headers", "status_code", "sentence"),
    [
        (ALL, {"Authorization": "Bearer wrong"}, 401, "unknown token"),
        (ALL, {"Authorization": ""}, 401, "has no token"),
        (ALL, {"Last-Event-ID": "yesterday"}, 400, "'yesterday' is no event id"),
        ("/api/v1/devices/020202020202/live", {}, 404, "there is no device 02:02:02:02:02:02"),
        ("/api/v1/devices/kitchen/live", {}, 400, "is not a MAC address"),
        ("/api/v1/devices", {}, 404, "the REST API serves the rest"),
    ],
)
def test_problems_are_like_those_of_rest(
    server: LiveServer, path: str, headers: dict[str, str], status_code: int, sentence: str
) -> None:
    """The detail says in one sentence what is wrong."""
    answer = server.get(path, **headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status_code, "application/problem+json")
    assert sentence in answer.json()["detail"]
    assert ("WWW-Authenticate" in answer.headers) == (status_code == 401)
