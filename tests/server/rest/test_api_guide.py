"""Every example of the API guide works on a running server."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from brokers import free_port
from clients import Client
from records import reading, status
from rooms import OPERATOR, ROOT, Rest, Room
from services import RunningStore, wait_until

GUIDE = (ROOT / "docs" / "api.md").read_text()
DEVICE = "aabbccddeeff"
LIVE_PATHS = ["/api/v1/live", "/api/v1/devices/{mac}/live"]
HEALTH_PATHS = ["/livez", "/readyz", "/metrics"]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
PRELUDE, *EXAMPLES = [text for kind, text in BLOCKS if kind == "sh"]


@pytest.fixture
def server(redis_store: RunningStore, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run REST and live events over a store with one device, ingest seemingly there.

    Return their addresses by those that the page has.
    """
    if not shutil.which("curl"):
        pytest.skip("curl is not installed (Debian: apt install curl)")
    with closing(Client(redis_store)) as client:
        now = client.store.now()
        stored = [(DEVICE, message) for message in (status(), reading(0, now - 5000), reading(1, now))]
        client.store.write(stored)
        stream = client.store.live_stream
        stream.add(stored)
        stream.flush()
        client.store.heartbeat(600)
    rest, live = Rest(free_port()), Rest(free_port())
    access = {"redis_url": redis_store.url, "operator_token": OPERATOR}
    with (
        Room(tmp_path, "server", "run", **access, api_port=rest.url.rpartition(":")[2]),
        Room(tmp_path, "server", "live", **access, live_port=live.url.rpartition(":")[2]),
    ):
        wait_until(lambda: rest.ready() and live.ready(), "REST and live events answer")
        yield {"http://127.0.0.1:8080": rest.url, "http://127.0.0.1:8082": live.url}


@pytest.mark.slow
def test_every_example_works(server: dict[str, str], tmp_path: Path) -> None:
    """Run in order, each block succeeds, and each response on the page has the fields of the real one."""
    assert len(EXAMPLES) >= 12
    for example in EXAMPLES:
        script = (PRELUDE + example).replace("TOKEN=…", f"TOKEN={OPERATOR}")
        for shown, real in server.items():
            script = script.replace(shown, real)
        done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (example, done.stdout, done.stderr)
        kind, answer = _next(example)
        if kind == "json":
            _compare(json.loads(answer), json.loads(done.stdout))
        elif kind == "csv":
            assert done.stdout.splitlines()[0] == answer.splitlines()[0]
        elif kind == "text":
            _compare(_events(answer), _events(done.stdout))
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "histogram.svg").read_text()


def test_every_route_has_an_example(client: Client) -> None:
    """Each route has an example, and each example has a route."""
    paths = client.ask("/api/v1/openapi.json").json["paths"]
    for port, served in ((8080, [*(paths.keys() - LIVE_PATHS), *HEALTH_PATHS]), (8082, [*LIVE_PATHS, *HEALTH_PATHS])):
        called = set(re.findall(rf"http://127\.0\.0\.1:{port}(/[^\s\"?]*)", "".join(EXAMPLES)))
        patterns = {path: re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) for path in served}
        for path, pattern in patterns.items():
            assert any(re.fullmatch(pattern, each) for each in called), path
        for each in called:
            assert any(re.fullmatch(pattern, each) for pattern in patterns.values()), each


def _next(example: str) -> tuple[str, str]:
    """Return the block that follows an example."""
    place = next(number for number, (_, text) in enumerate(BLOCKS) if text == example)
    return BLOCKS[place + 1] if place + 1 < len(BLOCKS) else ("", "")


def _compare(shown: Any, real: Any) -> None:
    """Compare the fields of two answers, down to where one has nothing."""
    if isinstance(shown, dict) and isinstance(real, dict):
        assert list(shown) == list(real)
        for name in shown:
            _compare(shown[name], real[name])
    elif isinstance(shown, list) and isinstance(real, list) and shown and real:
        _compare(shown[0], real[0])


def _events(stream: str) -> dict[str, Any]:
    """Return the facts of a stream's events, by their kind."""
    return {kind: json.loads(facts) for kind, facts in re.findall(r"^event: (\w+)\ndata: (.*)$", stream, re.MULTILINE)}
