"""What OpenAPI says of the routes beside their parameters and bodies: headings, roles, problems and plots."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from flask_openapi3.models import OPENAPI3_REF_PREFIX
from flask_openapi3.models.tag import Tag

from server.rest import responses

DEVICES = [Tag(name="Devices")]
SINGLE_DEVICE = [Tag(name="SingleDevice")]
COMMANDS = [Tag(name="Commands")]
DELETE = [Tag(name="Delete")]
TOKEN = [Tag(name="Token")]
"""Headings of the page; each route stands under one."""
VIEWER, OPERATOR = {"x-required-role": "viewer"}, {"x-required-role": "operator"}
"""Extensions that name the role which a route requires; `blueprint` checks it."""
IMAGES: dict[str, Any] = {
    "description": "the plot",
    "content": {
        "image/png": {"schema": {"type": "string", "format": "binary"}},
        "image/svg+xml": {"schema": {"type": "string"}},
    },
}
_PROBLEMS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def problems(statuses: Iterable[HTTPStatus] = _PROBLEMS) -> dict[Any, Any]:
    """Return problems that a route may answer, by status; by default those that any route may."""
    schema = {"$ref": f"{OPENAPI3_REF_PREFIX}/{responses.Problem.__name__}"}
    return {
        status: {
            "description": f"{status.phrase}; `detail` says what to do",
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


_LIVE_SERVER = {
    "url": "http://{host}:{port}",
    "description": "`moodwire server live`, a process of its own",
    "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "8082", "description": "`live_port`"}},
}
_MAC_PARAMETER = {"name": "mac", "in": "path", "required": True, "schema": {"type": "string"}}
_LIVE_STATUSES = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def live_paths(prefix: str) -> dict[str, Any]:
    """Return the paths that another process serves: live events, which a program finds here all the same."""
    return {
        f"{prefix}/live": _live("Live events: readings and statuses of all devices", []),
        f"{prefix}/devices/{{mac}}/live": _live("Live events of one device", [_MAC_PARAMETER]),
    }


def _live(summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    resume = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}, "description": "resumes after it"}
    told: dict[str, Any] = {
        str(status.value): problem for status, problem in problems().items() if status in _LIVE_STATUSES
    }
    stream = {"description": "server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    operation: dict[str, Any] = {
        "tags": ["Live"],
        "summary": summary,
        "description": "Streams `reading`, `status` and `missed` as server-sent events until the client hangs up.",
        "servers": [_LIVE_SERVER],
        "parameters": [*parameters, resume],
        "responses": {"200": stream, **told},
        "security": [{"token": []}],
        **VIEWER,
    }
    return {"get": operation}
