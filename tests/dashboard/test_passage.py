"""What passes through to REST and live events, and what does not."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from dashboards import Answer, Dashboard, MadeUp, dashboard
from patience import REPLY_S
from services import wait_until

COMMANDS = "/api/v1/devices/aabbccddeeff/commands"


@pytest.fixture
def rest() -> Iterator[MadeUp]:
    """Make up a REST API."""
    made_up = MadeUp()
    yield made_up
    made_up.stop()


@pytest.fixture
def live() -> Iterator[MadeUp]:
    """Make up live events."""
    made_up = MadeUp()
    yield made_up
    made_up.stop()


@pytest.fixture
def page(rest: MadeUp, live: MadeUp) -> Iterator[Dashboard]:
    """Serve the dashboard."""
    with dashboard(rest, live) as running:
        yield running


def test_a_request_goes_to_rest_in_the_sessions_name(page: Dashboard, rest: MadeUp) -> None:
    """Path, query and body arrive as they were sent, with the session's token and no other header of the browser."""
    browser = page.browser("o-token")
    headers = {"X-CSRF-Token": browser.csrf, "Authorization": "Bearer mine", "X-Forwarded-For": "1.2.3.4", "X-Odd": "1"}
    answer = browser.post(f"{COMMANDS}?a=%2Bb&c=d%20e", json={"command": "pause"}, headers=headers)

    method, target, told, body = rest.asked[-1]
    assert (method, target, body) == ("POST", f"{COMMANDS}?a=%2Bb&c=d%20e", b'{"command": "pause"}')
    assert told["authorization"] == "Bearer o-token"
    assert told["content-type"] == "application/json"
    assert {"cookie", "x-forwarded-for", "x-odd", "x-csrf-token", "origin"} & told.keys() == set()
    assert (answer.status_code, answer.json()) == (200, {})


def test_a_response_comes_back_with_what_a_page_needs_of_it(page: Dashboard, rest: MadeUp) -> None:
    """Status, body and caching pass; cookies, servers and other people's headers do not."""
    kept = {"Content-Type": "text/csv", "ETag": 'W/"1"', "Cache-Control": "private, no-cache", "Retry-After": "7"}
    dropped = {
        "Set-Cookie": "a=b",
        "Server": "secret",
        "Access-Control-Allow-Origin": "*",
        "WWW-Authenticate": "Bearer",
    }
    browser = page.browser("v-token")
    rest.make = lambda _request, _body: (429, kept | dropped, b"a,b\r\n")
    answer = browser.get("/api/v1/devices")

    assert (answer.status_code, answer.content) == (429, b"a,b\r\n")
    assert {name: answer.headers.get(name) for name in kept} == kept
    assert [name for name in dropped if name in answer.headers] == []


def test_the_environment_does_not_come_between_the_page_and_the_api(
    page: Dashboard, rest: MadeUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a proxy nor a login in ~/.netrc, which are for other hosts, is used for our own services."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert page.browser("v-token").get("/api/v1/devices").ok
    assert rest.asked[-1][2]["authorization"] == "Bearer v-token"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../metrics",
        "/api/v1/%2e%2e/metrics",
        "/api/v1/devices%2f..%2f..%2fmetrics",
        "/api/v1/devices\\..",
        "/api/v1//evil.example/",
        "/api/v1/devices?" + "a" * 3000,
        "/api/v1/dévices",
    ],
)
def test_no_path_leaves_the_api(page: Dashboard, rest: MadeUp, path: str) -> None:
    """What is no path below /api/v1 never reaches REST."""
    browser = page.browser("v-token")
    asked = len(rest.asked)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    head = f"GET {path} HTTP/1.1\r\nHost: {page.url[7:]}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    host, port = page.url[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=REPLY_S) as raw:
        raw.sendall(head.encode())
        status = raw.recv(100).split()[1]

    assert status in {b"400", b"404"}
    assert [target for _, target, _, _ in rest.asked[asked:] if not target.startswith("/readyz")] == []


def test_only_the_methods_of_rest_pass(page: Dashboard, rest: MadeUp) -> None:
    """Everything else is refused here."""
    browser = page.browser("o-token")
    asked = len(rest.asked)
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "BREW"):
        answer = browser.request(method, "/api/v1/devices", headers={"X-CSRF-Token": browser.csrf})
        assert answer.status_code == 405, method
    assert len(rest.asked) == asked


def test_a_large_body_is_refused(page: Dashboard, rest: MadeUp) -> None:
    """REST takes 64 KiB at most; more is not even read."""
    browser = page.browser("o-token")
    asked = len(rest.asked)

    answer = browser.post(COMMANDS, data=b"x" * 70_000, headers={"X-CSRF-Token": browser.csrf})

    assert answer.status_code == 413
    assert len(rest.asked) == asked


def test_a_large_response_is_streamed(page: Dashboard, rest: MadeUp) -> None:
    """Its beginning comes before its end exists, and nothing of it is lost."""
    go_on = threading.Event()

    def slowly(request: BaseHTTPRequestHandler, _body: bytes) -> Answer | None:
        request.send_response(200)
        request.send_header("Content-Length", "2000000")
        request.end_headers()
        request.wfile.write(b"a" * 1_000_000)
        go_on.wait(REPLY_S)
        request.wfile.write(b"b" * 1_000_000)
        return None

    browser = page.browser("v-token")
    rest.make = slowly
    answer = browser.get("/api/v1/devices", stream=True)
    chunks = answer.iter_content(1_000_000)
    assert next(chunks) == b"a" * 1_000_000
    go_on.set()
    assert b"".join(chunks) == b"b" * 1_000_000


def test_a_rest_that_hangs_holds_up_nobody_else(page: Dashboard, rest: MadeUp) -> None:
    """50 requests wait, and the page is still served at once; REST that is away is a problem with a sentence."""
    go_on = threading.Event()

    def hang(_request: BaseHTTPRequestHandler, _body: bytes) -> Answer:
        go_on.wait(REPLY_S)
        return 200, {}, b"{}"

    browser = page.browser("v-token")
    rest.make = hang
    asked = len(rest.asked)
    waiting = [threading.Thread(target=browser.get, args=("/api/v1/devices",)) for _ in range(50)]
    for thread in waiting:
        thread.start()
    wait_until(lambda: len(rest.asked) >= asked + 50, "all have arrived")
    assert page.browser().get("/login").status_code == 200
    assert all(thread.is_alive() for thread in waiting), "it was answered before any of them"
    go_on.set()
    for thread in waiting:
        thread.join()

    rest.stop()
    answer = browser.get("/api/v1/devices")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "application/problem+json")
    assert "REST at http://127.0.0.1:" in answer.json()["detail"]
    assert "try again" in answer.json()["detail"]


def _stream(request: BaseHTTPRequestHandler, events: list[bytes], until: threading.Event) -> None:
    """Answer as live events do, and stay open."""
    request.send_response(200)
    request.send_header("Content-Type", "text/event-stream")
    request.end_headers()
    for event in events:
        request.wfile.write(event)
        request.wfile.flush()
    until.wait(REPLY_S)


@pytest.mark.slow
def test_live_events_come_whole_with_the_pulse_between_them(page: Dashboard, live: MadeUp) -> None:
    """An event that arrives in pieces is passed on in one; the pulse tells how the server is; the id is sent on."""
    end = threading.Event()

    def told(request: BaseHTTPRequestHandler, _body: bytes) -> None:
        _stream(request, [b"id: 1-0.0\nevent: rea", b'ding\ndata: {"a": 1}\n', b"\n: still here\n\n"], end)

    live.make = told
    browser = page.browser("v-token")
    answer = browser.get("/live", headers={"Last-Event-ID": "5-0.0"}, stream=True)
    found = b""
    for chunk in answer.iter_content(None):
        found += chunk
        if found.count(b"event: pulse") >= 2 and b"still here" in found:
            break
    end.set()

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert b'id: 1-0.0\nevent: reading\ndata: {"a": 1}\n\n' in found
    assert b'"rest": "ok", "store": "ok", "ingest": "ok", "live": "ok"' in found
    _, target, headers, _ = live.asked[-1]
    assert (target, headers["authorization"], headers["last-event-id"]) == ("/api/v1/live", "Bearer v-token", "5-0.0")


@pytest.mark.slow
def test_without_live_events_the_stream_stays_and_says_so(page: Dashboard, live: MadeUp) -> None:
    """The page learns it from the pulse, and need not reconnect."""
    live.make = lambda _request, _body: (503, {}, b"")
    answer = page.browser("v-token").get("/live", stream=True)
    found = b""
    for chunk in answer.iter_content(None):
        found += chunk
        if found.count(b'"live": "away"') >= 2:
            break
    assert len(live.asked) >= 2


@pytest.mark.slow
def test_a_page_that_reads_nothing_holds_live_events_back(page: Dashboard, live: MadeUp) -> None:
    """The dashboard keeps little for it: live events notice, and drop it after their own limit."""
    sent, ended = [0], threading.Event()

    def flood(request: BaseHTTPRequestHandler, _body: bytes) -> None:
        request.send_response(200)
        request.end_headers()
        event = b"data: " + b"x" * 10_000 + b"\n\n"
        request.connection.settimeout(3)
        try:
            while sent[0] < 200_000_000:
                request.connection.sendall(event)
                sent[0] += len(event)
        except OSError:  # nobody has taken anything for 3 s
            pass
        ended.set()

    live.make = flood
    answer = page.browser("v-token").get("/live", stream=True)
    answer.raw.read(1000)

    assert ended.wait(REPLY_S)
    assert 0 < sent[0] < 20_000_000


@pytest.mark.slow
def test_a_log_out_ends_the_stream(page: Dashboard, live: MadeUp) -> None:
    """It does not go on until somebody closes the page."""
    end = threading.Event()
    live.make = lambda request, _body: _stream(request, [], end)
    browser = page.browser("v-token")
    answer = browser.get("/live", stream=True)
    chunks = answer.iter_content(None)
    assert b"pulse" in next(chunks)

    page.browser().post("/logout")  # a stranger's ends nothing
    browser.post("/logout", headers={"X-CSRF-Token": browser.csrf})

    assert b"".join(chunks).count(b"pulse") <= 1
    end.set()
