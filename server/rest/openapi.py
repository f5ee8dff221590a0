"""What OpenAPI says of the routes beside their parameters and bodies: headings, roles, problems and plots."""

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


def problems() -> dict[Any, Any]:
    """Return the problems that any route may answer, by status."""
    schema = {"$ref": f"{OPENAPI3_REF_PREFIX}/{responses.Problem.__name__}"}
    return {
        status: {
            "description": f"{status.phrase}; `detail` says what to do",
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in _PROBLEMS
    }
