"""JSON bodies of requests: read strictly, and refused in one sentence that says why (RFC 8259)."""

import json
from http import HTTPStatus
from typing import Any, NoReturn

from flask import request
from flask.json.provider import DefaultJSONProvider

from server.errors import ProblemError

_MOST_DIGITS = 400
"""Python takes time for more, and no field needs them."""
_LIKE = 'send a JSON object in UTF-8, like {"command": "pause"}'


class StrictJson(DefaultJSONProvider):
    """Flask's JSON, that refuses what two readers of a body could understand in two ways."""

    sort_keys = False
    """Keys of responses come in the order of the code."""

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Return the value of a JSON text.

        Raises:
            ProblemError: 400, it is not JSON in UTF-8, is nested too deeply, or names a key twice.
        """
        try:
            text = s.decode("utf-8-sig") if isinstance(s, bytes) else s
            return json.loads(
                text, parse_constant=_refuse_constant, parse_int=_integer, object_pairs_hook=_unique, **kwargs
            )
        except RecursionError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"the body is nested too deeply: {_LIKE}") from error
        except ValueError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"the body cannot be read as JSON ({error}): {_LIKE}") from error


def check_encoding() -> None:
    """Check that the request's body is not compressed.

    Raises:
        ProblemError: 415, it is (RFC 9110, section 15.5.16).
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body has a Content-Encoding: send it as it is, without one"
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
