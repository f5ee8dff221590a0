"""An error becomes the same problem response for REST and for live events."""

import json
from http import HTTPStatus

import pytest

from server.errors import ProblemError, StoreAwayError
from server.web.problems import respond


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    """The body names the status twice, in words and as a number, and says what to do."""
    response = respond(ProblemError(HTTPStatus.NOT_FOUND, "there is no device ä"), "/api/v1/devices/x?step=1m")

    assert response.status == HTTPStatus.NOT_FOUND
    assert response.headers == {"Content-Type": "application/problem+json"}
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no device ä",
        "instance": "/api/v1/devices/x?step=1m",
    }


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (ProblemError(HTTPStatus.UNAUTHORIZED, "no token"), "WWW-Authenticate", "Bearer"),
        (ProblemError(HTTPStatus.TOO_MANY_REQUESTS, "too many", retry_s=60), "Retry-After", "60"),
        (ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "full", retry_s=60), "Retry-After", "60"),
        (ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "migrate the store"), "Retry-After", "5"),
    ],
)
def test_a_status_has_its_header(error: ProblemError, name: str, value: str) -> None:
    """A missing token names its scheme; a problem that passes names when."""
    assert respond(error, "/").headers[name] == value


def test_a_store_that_is_away_is_a_503() -> None:
    """The text of the error comes first, then when to try again."""
    response = respond(StoreAwayError("the store at redis://x does not answer"), "/readyz")

    assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert json.loads(response.body)["detail"] == "the store at redis://x does not answer; try again in 5 s"
    assert response.headers["Retry-After"] == "5"
