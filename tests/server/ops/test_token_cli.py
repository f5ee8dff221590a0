"""Tokens have names and roles, are shown once, kept as hashes, and are revoked while the server runs."""

import logging
import re
from typing import Any

import pytest
from clients import MAC, OPERATOR, URL, Client
from services import RunningStore, wait_until

import moodwire
from server.settings import ServerSettings
from server.web.auth import Guard


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, redis_store: RunningStore) -> None:
    """Let no file of the person who runs the tests interfere, and have the commands use the test's store."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("MOODWIRE_REDIS_URL", redis_store.url)


def token(*words: str) -> int:
    """Run `moodwire server token …` and return its exit code."""
    return moodwire.main(["server", "token", *words])


def made(capsys: pytest.CaptureFixture[str], name: str, role: str) -> str:
    """Make a token with the command and return it."""
    capsys.readouterr()
    assert token("add", "--token-name", name, "--role", role) == 0
    return capsys.readouterr().out.strip()


@pytest.mark.slow
def test_a_named_token_works_at_once_and_stops_when_revoked(
    redis_store: RunningStore, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token made while the server runs is accepted without a restart, and refused seconds after it is revoked."""
    assert "unknown token" in client.problem("/api/v1/devices", 401, token="mw_viewer_guess")
    text = made(capsys, "grafana", "viewer")
    assert re.fullmatch(r"mw_viewer_[\w-]{43}", text)
    wait_until(lambda: client.ask("/api/v1/devices", token=text).status_code == 200, "the token is accepted", 10)
    assert "use an operator token" in client.problem(URL, 403, method="DELETE", token=text)
    assert token("revoke", "--token-name", "grafana") == 0
    # Asking until it was accepted was guessing, so it may be told to wait.
    wait_until(lambda: client.ask("/api/v1/devices", token=text).status_code in {401, 429}, "the token is refused")
    assert text.encode() not in b"".join(redis_store.client.hvals("mw:access"))


def test_list_shows_who_may_what_and_no_secret(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """The list has name, role, when it was made and the hour of the last use; neither token nor hash."""
    text = made(capsys, "night-shift", "operator")
    made(capsys, "grafana", "viewer")
    assert client.ask("/api/v1/devices", token=text).status_code == 200
    assert token("list") == 0
    shown = capsys.readouterr().out
    assert re.search(r"^grafana +viewer +\d{4}-\d\d-\d\d \d\d:\d\d +a command +never$", shown, re.MULTILINE)
    assert re.search(r"^night-shift +operator +\S+ \S+ +a command +\d{4}-\d\d-\d\d \d\d h$", shown, re.MULTILINE)
    assert not re.search(r"mw_|[0-9a-f]{64}", shown)


def test_a_delete_is_audited_with_the_name_of_its_token(
    client: Client, now: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Who deleted is told by name; a token from the settings has the name of its setting."""
    del now
    text = made(capsys, "night-shift", "operator")
    with caplog.at_level(logging.INFO, "moodwire.audit"):
        assert client.ask(URL, "DELETE", text).status_code == 200
        assert client.ask("/api/v1/devices?confirm=all", "DELETE", OPERATOR).status_code == 200
    assert f"erased {MAC}" in caplog.messages[0]
    assert "asked by token night-shift from" in caplog.messages[0]


def test_the_first_token_is_not_made_again_once_revoked(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """Revoking the token that the first start made is for good; another one can have its name."""
    Guard(ServerSettings(), client.store).prepare()
    assert len(re.findall(r"mw_\w+_[\w-]{43}", capsys.readouterr().out)) == 2
    assert token("revoke", "--token-name", "operator") == 0
    capsys.readouterr()
    Guard(ServerSettings(), client.store).prepare()
    assert capsys.readouterr().out == ""
    assert [kept.name for kept in client.store.tokens.accepted()] == ["viewer"]
    made(capsys, "operator", "operator")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "--token-name", "Über uns"), "use 1 to 32 lower-case letters, digits and hyphens"),
        (("add",), "is no name of a token"),
        (("add", "--token-name", "taken"), "there is a token taken already"),
        (("revoke", "--token-name", "nobody"), "names no token"),
        (("revoke", "--token-name", "viewer_token"), "is a setting of the server"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is none, is taken, or is nobody's, ends the command with code 2 and says what to do."""
    made(capsys, "taken", "viewer")
    assert token(*words) == 2
    assert sentence in capsys.readouterr().err


def test_a_store_that_is_away_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a store the command says so and ends with code 2."""
    monkeypatch.setenv("MOODWIRE_REDIS_URL", "redis://127.0.0.1:1/0")
    assert token("list") == 2
    assert "the store at redis://127.0.0.1:1/0 does not answer" in capsys.readouterr().err
