"""Exceptions whose text is one sentence for the person who reads it."""

from http import HTTPStatus


class UnusableError(Exception):
    """The server cannot run like this: wrong settings, a taken port, a store that cannot keep what it confirms."""


class StoreAwayError(Exception):
    """The store does not answer, or not with what was asked; try again later."""


class ProblemError(Exception):
    """A request that gets a problem as its response.

    Args:
        status: HTTP status.
        detail: One sentence that names the thing, its value and what to do.
        retry_s: After how many seconds the same request may succeed; None where time changes nothing.

    Source: RFC 9457, problem details for HTTP APIs.
    """

    def __init__(self, status: HTTPStatus, detail: str, retry_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_s = retry_s
