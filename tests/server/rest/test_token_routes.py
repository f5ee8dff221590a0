"""An operator lists, makes and revokes tokens over REST; a token is shown once, and each change is audited by name."""

import logging
from typing import Any

import pytest
from clients import OPERATOR, Client
from services import wait_until

from server.store import tokens

URL = "/api/v1/tokens"


def make(client: Client, name: object = "wall", role: object = "viewer", token: str = OPERATOR) -> Any:
    """Return the response to the wish for a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return client.flask.post(URL, json={"name": name, "role": role}, headers=headers)


def listed(client: Client, token: str = OPERATOR) -> dict[str, Any]:
    """Return what the list says of each token, by name."""
    response = client.ask(URL, token=token)
    assert response.status_code == 200, response.text
    return {each.pop("name"): each for each in response.json["tokens"]}


@pytest.mark.slow
def test_a_token_is_made_listed_used_and_revoked(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the answer to POST alone, works within seconds, and ends with DELETE; the audit names who asked."""
    with caplog.at_level(logging.INFO, "moodwire.audit"):
        response = make(client)
        assert (response.status_code, response.headers["Cache-Control"]) == (201, "no-store")
        text = response.json["token"]
        assert response.json == {"name": "wall", "role": "viewer", "token": text}
        wait_until(lambda: client.ask("/api/v1/token", token=text).status_code == 200, "it is accepted", 10)
        found = listed(client)
        assert text not in client.ask(URL, token=OPERATOR).text
        assert found["wall"]["made_by"] == "operator_token"
        assert found["wall"]["last_used_at"] is not None
        assert (found["wall"]["is_setting"], found["wall"]["is_yours"]) == (False, False)
        assert (found["operator_token"]["is_setting"], found["operator_token"]["is_yours"]) == (True, True)
        assert client.ask(f"{URL}/wall", "DELETE", OPERATOR).json == {"name": "wall"}
    wait_until(lambda: client.ask("/api/v1/token", token=text).status_code in {401, 429}, "it is refused", 30)

    assert listed(client).keys() == {"viewer_token", "operator_token"}
    assert [record.getMessage() for record in caplog.records if record.name == "moodwire.audit"] == [
        "made the viewer token wall, asked by token operator_token from 127.0.0.1",
        "revoked the token wall, asked by token operator_token from 127.0.0.1",
    ]
    assert text not in caplog.text


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_viewer_neither_sees_nor_changes_tokens(client: Client, method: str) -> None:
    """Even the names are for operators."""
    assert "use an operator token" in client.problem(f"{URL}/x" if method == "DELETE" else URL, 403, method=method)


def test_whoever_steals_an_operators_token_leaves_a_trace(client: Client) -> None:
    """A token that a token made names it, so that the owner finds and revokes it."""
    stolen = make(client, "night-shift", "operator").json["token"]
    wait_until(lambda: make(client, "spy", "operator", stolen).status_code == 201, "the thief has a token", 10)

    assert {name for name, each in listed(client).items() if each["made_by"] == "night-shift"} == {"spy"}


@pytest.mark.parametrize(
    ("name", "role", "status", "sentence"),
    [
        ("Über uns", "viewer", 400, "use 1 to 32 lower-case letters, digits and hyphens"),
        ("operator_token", "viewer", 400, "is no name of a token"),
        ("x" * 60_000, "viewer", 400, "is no name of a token"),
        ("wall", "admin", 400, "role"),
        (7, "viewer", 400, "name"),
        ("taken", "operator", 409, "there is a token taken already"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(
    client: Client, name: object, role: object, status: int, sentence: str
) -> None:
    """A name that is none or is taken, and a role that there is not, make nothing."""
    make(client, "taken")
    response = make(client, name, role)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json"), response.text
    assert sentence in response.json["detail"]
    assert len(response.json["detail"]) < 300
    assert listed(client)["taken"]["role"] == "viewer"


def test_what_cannot_be_revoked_is_one_sentence(client: Client) -> None:
    """A setting is changed where it stands, and a name must be somebody's."""
    asked = {"method": "DELETE", "token": OPERATOR}
    assert "is a setting of the server" in client.problem(f"{URL}/viewer_token", 409, **asked)
    assert "there is no token 'nobody'" in client.problem(f"{URL}/nobody", 404, **asked)


def test_tokens_do_not_fill_the_store(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are so many at most, and those that were revoked leave nothing behind."""
    monkeypatch.setattr(tokens, "MOST", 2)
    assert [make(client, name).status_code for name in ("a", "b", "c")] == [201, 201, 409]
    assert "revoke one" in make(client, "c").json["detail"]
    for name in ("a", "b"):
        client.ask(f"{URL}/{name}", "DELETE", OPERATOR)
    assert client.store.execute("HLEN", "mw:access") == 0
