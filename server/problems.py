"""What can go wrong, as exceptions whose text is the one sentence that a person gets to read."""

from http import HTTPStatus
from typing import Any

_TEXT = {"type": "string"}
_PROPERTIES = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT, "instance": _TEXT}
OPENAPI_RESPONSES: Any = {
    status: {
        "description": f"{status.phrase}; `detail` says in one sentence what would be right",
        "content": {"application/problem+json": {"schema": {"type": "object", "properties": _PROPERTIES}}},
    }
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}
"""How OpenAPI describes the problems that any route may answer with."""


class UnusableError(Exception):
    """The server cannot run like this: wrong settings, a taken port, a store that cannot keep what it confirms."""


class StoreAwayError(Exception):
    """The store does not answer, or not with what was asked; trying again later is right."""


class ProblemError(Exception):
    """A request that is answered with a problem instead of a result.

    Args:
        status: HTTP status.
        detail: One sentence that names the thing, its value and what would be right.

    Source: RFC 9457, problem details for HTTP APIs.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
