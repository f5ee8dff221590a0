"""What the routes share: the check of the token, and the objects that they work with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from flask import Flask, current_app, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.utils import get_operation_id_for_path

from common import text
from server.errors import ProblemError
from server.query.devices import DeviceLookup
from server.rest import openapi
from server.rest.json_body import check_encoding
from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.store.tokens import Role
from server.web.auth import Guard
from server.web.metrics import Metrics

PREFIX = "/api/v1"
_NAME = "moodwire"


@dataclass(frozen=True)
class Services:
    """What the routes of one application work with."""

    store: RedisStore
    settings: ServerSettings
    guard: Guard
    metrics: Metrics
    readiness: Callable[[], dict[str, str]]
    """Returns what `health_routes.check_readiness` found."""

    def attach(self, app: Flask) -> None:
        """Let the routes of an application find them."""
        app.extensions[_NAME] = self


def services() -> Services:
    """Return the services of the application that handles the request."""
    found: Services = current_app.extensions[_NAME]
    return found


def lookup() -> DeviceLookup:
    """Return what looks up devices and ranges for the request at hand."""
    if "lookup" not in g:
        g.lookup = DeviceLookup(services().store, services().settings)
    found: DeviceLookup = g.lookup
    return found


def make_blueprint(name: str, reader: Role = "viewer") -> APIBlueprint:
    """Return a blueprint below `/api/v1`; its routes require a token, the `reader`'s to read and else an operator's.

    Put all routes of one path into one blueprint: the OpenAPI document keeps only the last blueprint's.
    """
    blueprint = APIBlueprint(
        name,
        __name__,
        url_prefix=PREFIX,
        abp_security=[{"token": []}],
        abp_responses=openapi.problems(),
        operation_id_callback=_operation_id,
    )
    blueprint.before_request(partial(_check_token, reader))
    blueprint.before_request(check_encoding)
    blueprint.before_request(_check_parameters)
    return blueprint


def _check_token(reader: Role) -> None:
    if request.method == "OPTIONS":  # tells which methods there are, and no data
        return
    role: Role = reader if request.method in ("GET", "HEAD") else "operator"
    g.token = services().guard.check(request.headers.get("Authorization"), role, request.remote_addr or "")


def _check_parameters() -> None:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"parameter {text.quote(name)} is there twice: send it once")


def _operation_id(*, name: str, path: str, method: str) -> str:
    """Return an id that does not depend on the module in which a route is."""
    return get_operation_id_for_path(bp_name="api", name=name, path=path, method=method)
