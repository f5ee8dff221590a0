"""Errors as HTTP responses: problem details for REST and for live events alike."""

import json
from http import HTTPStatus
from typing import NamedTuple

from server.errors import ProblemError, StoreAwayError

RETRY_S = 5
"""Seconds after which a client shall try again where the error names none."""


class ProblemResponse(NamedTuple):
    """The first three arguments of Flask's `Response`, and of Starlette's."""

    body: bytes
    status: HTTPStatus
    headers: dict[str, str]


def respond(error: ProblemError | StoreAwayError, instance: str) -> ProblemResponse:
    """Return the response to a request that failed.

    Args:
        error: What went wrong; a store that does not answer is a 503.
        instance: Path of the request, with its query.

    Source: RFC 9457, problem details; RFC 9110, section 10.2.3 (Retry-After) and 11.6.1 (WWW-Authenticate).
    """
    if isinstance(error, StoreAwayError):
        error = ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; try again in {RETRY_S} s")
    headers = {"Content-Type": "application/problem+json"}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    retry_s = error.retry_s
    if retry_s is None and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_s = RETRY_S
    if retry_s is not None:
        headers["Retry-After"] = str(retry_s)
    problem = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
    }
    return ProblemResponse(json.dumps(problem).encode(), error.status, headers)
