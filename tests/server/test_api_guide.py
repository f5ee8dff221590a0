"""Every example on the page about the API works as it stands there, on a running server."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from brokers import free_port
from clients import Client
from records import reading, status
from rooms import OPERATOR, ROOT, Rest, Room
from services import RunningStore, wait_until

GUIDE = (ROOT / "docs" / "api.md").read_text()
DEVICE = "aabbccddeeff"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
PRELUDE, *EXAMPLES = [text for kind, text in BLOCKS if kind == "sh"]


@pytest.fixture
def rest(redis_store: RunningStore, tmp_path: Path) -> Iterator[str]:
    """Run the server over a store with one device, ingest seemingly there, and return its address."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed (Debian: apt install curl)")
    with closing(Client(redis_store)) as client:
        now = client.store.now()
        client.store.write([(DEVICE, message) for message in (status(), reading(0, now - 5000), reading(1, now))])
        client.store.beat(600)
    rest = Rest(free_port())
    place = {"redis_url": redis_store.url, "operator_token": OPERATOR, "api_port": rest.url.rpartition(":")[2]}
    with Room(tmp_path, "server", "run", **place):
        wait_until(lambda: _answers(rest), "REST answers")
        yield rest.url


def test_every_example_works(rest: str, tmp_path: Path) -> None:
    """Run in order, each block succeeds, and an answer that the page shows has the fields of the real one."""
    assert len(EXAMPLES) >= 12
    for example in EXAMPLES:
        script = (PRELUDE + example).replace("http://127.0.0.1:8080", rest).replace("TOKEN=…", f"TOKEN={OPERATOR}")
        done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (example, done.stdout, done.stderr)
        kind, answer = _next(example)
        if kind == "json":
            _compare(json.loads(answer), json.loads(done.stdout))
        elif kind == "csv":
            assert done.stdout.splitlines()[0] == answer.splitlines()[0]
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "histogram.svg").read_text()


def test_every_route_has_an_example(client: Client) -> None:
    """No route of the API is left out on the page, and none that is gone is still there."""
    paths = client.ask("/api/v1/openapi.json").json["paths"]
    called = set(re.findall(r"http://127\.0\.0\.1:8080(/[^\s\"?]*)", "".join(EXAMPLES)))
    served = [*paths, "/livez", "/readyz", "/metrics"]
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


def _answers(rest: Rest) -> bool:
    try:
        return requests.get(f"{rest.url}/livez", timeout=5).ok
    except requests.RequestException:
        return False
