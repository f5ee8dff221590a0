"""Error handlers: every exception becomes a problem response, whether ours, the framework's or a bug."""

import logging
import re
from http import HTTPStatus

from flask import Flask, Response, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from common import text
from common.bucket import Limit
from common.log_limit import LogLimit
from server.errors import ProblemError, StoreAwayError
from server.rest.blueprint import PREFIX
from server.web import problems

log = logging.getLogger(__name__)

_lines = LogLimit(Limit(per_s=1 / 60, burst=5))
_DOCS = f"{PREFIX}/docs"
_LONGEST = 80
"""Characters of an invalid value that its sentence shows."""


def add_error_handlers(app: Flask) -> None:
    """Answer every exception that a request raises with a problem."""
    app.register_error_handler(ProblemError, _respond)
    app.register_error_handler(StoreAwayError, _store_away)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def invalid_request(error: ValidationError) -> Response:
    """Return the problem of the first parameter that does not validate."""
    first = error.errors()[0]
    # Parameters are flat: what follows the name is which of several allowed types pydantic tried.
    name = str(first["loc"][0]) if first["loc"] else ""
    if not name:
        detail = 'send a JSON object with the content type application/json, like {"command": "pause"}'
    elif first["type"] == "extra_forbidden":
        detail = f"unknown parameter {text.quote(name)}: {_DOCS} lists the parameters"
    elif first["type"] == "missing":
        detail = f"parameter {text.quote(name)} is missing: {_DOCS} describes it"
    else:
        given = first["input"]
        shown = text.quote(given) if isinstance(given, str) else repr(given)[:_LONGEST]
        detail = f"invalid {text.clean(name)} {shown}: {first['msg']}"
    return _problem(HTTPStatus.BAD_REQUEST, detail)


def _respond(error: ProblemError | StoreAwayError) -> Response:
    return Response(*problems.respond(error, request.full_path.rstrip("?")))


def _problem(status: HTTPStatus, detail: str) -> Response:
    return _respond(ProblemError(status, detail))


def _store_away(error: StoreAwayError) -> Response:
    """Log a request that the store did not answer: few lines, since strangers can ask too."""
    others = _lines.left_out("")
    if others is not None:
        log.warning("answered 503: %s%s", error, f"; {others} lines before this one were left out" if others else "")
    return _respond(error)


def _http_error(error: HTTPException) -> Response:
    """Return the problem for an error of the framework, such as an unknown path."""
    if isinstance(error, NotFound):
        plain = re.sub("/+", "/", request.path).rstrip("/")
        todo = f"{_DOCS} lists the paths" if plain in {request.path, ""} else f"ask for {text.quote(plain)}"
        return _problem(HTTPStatus.NOT_FOUND, f"unknown path {text.quote(request.path)}: {todo}")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        detail = f"{request.method} is not allowed on {text.quote(request.path)}: use {allowed}"
        response = _problem(HTTPStatus.METHOD_NOT_ALLOWED, detail)
        response.headers["Allow"] = allowed
        return response
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    return _problem(status, error.description or status.phrase)


def _bug(error: Exception) -> Response:
    """Log a bug with its traceback, and tell the client nothing of it."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed at this request: look in its log")
