"""Tokens with roles: who may do what, and how the first tokens are made."""

import re

import pytest
from clients import OPERATOR, URL, Client
from records import DAY_MS, DEVICE
from services import RunningStore

from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.web.auth import Guard


def test_each_route_requires_a_role(client: Client, now: int) -> None:
    """A missing or unknown token is 401, a viewer that deletes is 403, an operator may read too."""
    assert "no token" in client.problem(URL, 401, token=None)
    assert "unknown token" in client.problem(URL, 401, token="x" * 20)
    assert "use an operator token" in client.problem(URL, 403, method="DELETE")
    assert client.ask(URL, token=None).headers["WWW-Authenticate"] == "Bearer"
    assert client.ask(URL, token=OPERATOR).status_code == 200
    assert client.store.device(DEVICE) is not None


def test_unknown_tokens_are_counted_logged_and_told_to_wait(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """After ten in a minute the next is 429; known tokens of that address go on; the log holds no token."""
    for _ in range(10):
        assert client.problem(URL, 401, token="s3cr3t" * 4)
    refused = client.ask(URL, token="s3cr3t" * 4)
    assert (refused.status_code, 0 < int(refused.headers["Retry-After"]) <= 60) == (429, True)
    assert "too many unknown tokens from '127.0.0.1': use a token of this server, or wait" in refused.json["detail"]
    assert client.ask("/api/v1/devices").status_code == 200
    assert client.ask("/api/v1/devices", token=None).status_code == 401

    assert [record.getMessage() for record in caplog.records if record.name == "server.web.auth"] == [
        "refused an unknown token from 127.0.0.1; 1 since the start",
        "refused an unknown token from 127.0.0.1; 10 since the start",
    ]
    assert "s3cr3t" not in caplog.text
    assert "moodwire_unknown_tokens_total 11.0" in client.ask("/metrics").text


def test_tokens_are_made_once_and_kept_hashed(redis_store: RunningStore, capsys: pytest.CaptureFixture[str]) -> None:
    """The first start prints a token for each role and stores only its hash; the second start prints nothing."""
    store = RedisStore(redis_store.url, DAY_MS, DAY_MS)
    Guard(ServerSettings(), store).prepare()
    tokens = re.findall(r"mw_\w+_[\w-]{43}", capsys.readouterr().out)
    assert len(tokens) == 2
    again = Guard(ServerSettings(), store)
    again.prepare()
    assert capsys.readouterr().out == ""
    again.check(f"Bearer {tokens[1]}", "operator", "127.0.0.1")
    assert not [token for token in tokens if token.encode() in b"".join(redis_store.client.hvals("mw:access"))]
