"""The REST application: routes, errors as problems, headers, health; `create_app` builds it from its world."""

import importlib.metadata
import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, redirect, request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as BaseResponse

from broker.notice import NOTICE
from server.errors import ProblemError, StoreAwayError
from server.rest import http_headers, layout_guard, openapi
from server.rest.device_routes import make_api
from server.rest.health_routes import add_health
from server.settings import ServerSettings
from server.store.types import Store
from server.web.auth import Guard
from server.web.cors import add_cors
from server.web.rate_limit import add_limits

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
_RETRY_S = 5
_BEARER = {"type": "http", "scheme": "bearer"}
_DOCS = f"{PREFIX}/swagger"
_ABOUT = f"""{NOTICE}

Each request carries a token, `Authorization: Bearer …` (the button *Authorize* sets it here): a viewer's may read, an
operator's may also delete and command. Times that are asked for are RFC 3339 or Unix seconds; errors are
`application/problem+json` (RFC 9457). Live events come from a process of their own, `moodwire server live`, as
`/api/v1/live` and `/api/v1/devices/{{mac}}/live`.
"""


def create_app(store: Store, settings: ServerSettings, guard: Guard) -> Flask:
    """Return the application over a store; nothing is asked of the store before the first request."""
    app = OpenAPI(
        __name__,
        info=Info(title="moodwire", version=importlib.metadata.version("moodwire"), description=_ABOUT),
        security_schemes={"token": _BEARER},
        validation_error_status=400,
        validation_error_callback=_invalid,
        doc_prefix=PREFIX,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined] # as written, which reads better
    app.register_api(make_api(PREFIX, store, settings, guard))
    http_headers.deliver_well(app, _DOCS)  # first, so that it sees answers last

    @app.after_request
    def let_documentation_be_kept(response: Response) -> Response:
        if request.path == f"{PREFIX}/openapi.json":
            response.headers["Cache-Control"] = "no-cache"
        return response

    app.api_doc["components"]["schemas"] = openapi.schemas()
    app.register_error_handler(ProblemError, lambda error: _problem(error.status, error.detail, error.retry_s))
    app.register_error_handler(StoreAwayError, _store_away)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unforeseen)

    @app.route(f"{PREFIX}/docs")
    def docs() -> BaseResponse:
        return redirect(_DOCS)

    add_health(app, store, guard)
    layout_guard.add_check(app, store)
    add_cors(app, settings.cors_origins)
    add_limits(app, guard, settings.requests_per_minute)
    return app


def _problem(status: HTTPStatus, detail: str, retry_s: int | None = None) -> Response:
    """Return a problem as RFC 9457 writes it."""
    response = jsonify(
        type="about:blank", title=status.phrase, status=status, detail=detail, instance=request.full_path.rstrip("?")
    )
    response.status_code = status
    response.mimetype = "application/problem+json"
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_s = _RETRY_S
    if retry_s is not None:
        response.headers["Retry-After"] = str(retry_s)
    return response


def _invalid(error: ValidationError) -> Response:
    """Say what is wrong with the first parameter that is wrong."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if not name:
        detail = (
            'the body is not right: a JSON object with the content type application/json is, like {"command": "pause"}'
        )
        return _problem(HTTPStatus.BAD_REQUEST, detail)
    if first["type"] == "extra_forbidden":
        return _problem(HTTPStatus.BAD_REQUEST, f"there is no parameter {name!r}: the page {PREFIX}/docs lists them")
    return _problem(HTTPStatus.BAD_REQUEST, f"{name} {first['input']!r} is not right: {first['msg']}")


def _store_away(error: StoreAwayError) -> Response:
    log.warning("answered 503: %s", error)
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; try again in {_RETRY_S} s")


def _http_error(error: HTTPException) -> Response:
    """Return the framework's own errors as problems."""
    if isinstance(error, NotFound):
        return _problem(HTTPStatus.NOT_FOUND, f"there is no {request.path}: the page {PREFIX}/docs lists what there is")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        detail = f"{request.method} is not possible on {request.path}: {allowed} is"
        response = _problem(HTTPStatus.METHOD_NOT_ALLOWED, detail)
        response.headers["Allow"] = allowed
        return response
    return _problem(HTTPStatus(error.code or 500), error.description or "the request is not right")


def _unforeseen(error: Exception) -> Response:
    """Log what nobody foresaw and say no more than that."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed at this request; its log says why")
