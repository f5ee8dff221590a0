"""What can go wrong, as exceptions whose text is the one sentence that a person gets to read."""

from http import HTTPStatus


class UnusableError(Exception):
    """The server cannot run like this: wrong settings, a taken port, a store that cannot keep what it confirms."""


class StoreAwayError(Exception):
    """The store does not answer, or not with what was asked; try again later."""


class ProblemError(Exception):
    """A request that is answered with a problem instead of a result.

    Args:
        status: HTTP status.
        detail: One sentence that names the thing, its value and what would be right.
        retry_s: After how many seconds the same request may succeed; None where time changes nothing.

    Source: RFC 9457, problem details for HTTP APIs.
    """

    def __init__(self, status: HTTPStatus, detail: str, retry_s: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_s = retry_s
