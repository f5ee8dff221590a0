"""How OpenAPI describes what the routes answer: the results, and the problems that each of them may have instead."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from server.rest import responses

_SCHEMAS = "#/components/schemas/"
_ANSWERS: tuple[type[BaseModel], ...] = (
    responses.Devices,
    responses.SingleDevice,
    responses.Summary,
    responses.Events,
    responses.Receipt,
    responses.Receipts,
    responses.Command,
    responses.Meta,
    responses.Problem,
)
_TEXT = {"schema": {"type": "string"}}
IMAGES: dict[str, Any] = {
    "description": "the picture",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}, "image/svg+xml": _TEXT},
}


def answer(model: type[BaseModel], *, csv: bool = False) -> dict[str, Any]:
    """Return the description of a successful answer, as JSON and perhaps also as CSV."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": f"{_SCHEMAS}{model.__name__}"}}}
    if csv:
        content["text/csv"] = _TEXT
    return {"description": (model.__doc__ or "").partition("\n")[0], "content": content}


def problems() -> Any:
    """Return the descriptions of all problems, by status."""
    statuses = (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    schema = {"$ref": f"{_SCHEMAS}{responses.Problem.__name__}"}
    return {
        str(status.value): {
            "description": f"{status.phrase}; `detail` says in one sentence what would be right",
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


def schemas() -> dict[str, Any]:
    """Return the schemas that the descriptions refer to, by name."""
    _, found = models_json_schema([(model, "serialization") for model in _ANSWERS], ref_template=_SCHEMAS + "{model}")
    described: dict[str, Any] = found["$defs"]
    return described
