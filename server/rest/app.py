"""The REST application: `create_app` puts routes, error handlers, headers and limits together."""

import importlib.metadata

from flask import Flask, Response, redirect, request
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from werkzeug.wrappers import Response as BaseResponse

from common.notice import NOTICE
from server.rest import (
    command_routes,
    completeness_routes,
    device_routes,
    fleet_routes,
    health_routes,
    http_headers,
    insight_routes,
    layout_guard,
    openapi,
    plot_routes,
    responses,
    strip_routes,
    token_routes,
)
from server.rest.blueprint import PREFIX, Services
from server.rest.error_handlers import add_error_handlers, invalid_request
from server.rest.json_body import StrictJson
from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.web.auth import Guard
from server.web.cached import Cached
from server.web.cors import add_cors
from server.web.metrics import Metrics
from server.web.rate_limit import add_limits

_BEARER = {"type": "http", "scheme": "bearer"}
_READINESS_S = 1.0
"""However many ask for it, the store is not asked more often."""
_SWAGGER = f"{PREFIX}/swagger"
_DESCRIPTION = f"""{NOTICE}

Each request carries a token, `Authorization: Bearer …` (the button *Authorize* sets it here): a viewer's may read, an
operator's may also delete and command. Write times in RFC 3339 or Unix seconds; errors are
`application/problem+json` (RFC 9457). `moodwire server live` serves live events on a port of its own.
"""


def create_app(store: RedisStore, settings: ServerSettings, guard: Guard) -> Flask:
    """Return the application over a store; it does not read the store before the first request."""
    app = OpenAPI(
        __name__,
        info=Info(title="moodwire", version=importlib.metadata.version("moodwire"), description=_DESCRIPTION),
        security_schemes={"token": _BEARER},
        validation_error_status=400,
        validation_error_model=responses.Problem,
        validation_error_callback=invalid_request,
        doc_prefix=PREFIX,
    )
    app.json = StrictJson(app)
    app.config["SWAGGER_CONFIG"] = {"persistAuthorization": True}  # the token survives a reload of the page
    app.url_map.merge_slashes = False  # a redirect would be no problem+json, and name whatever host the client sent
    about_devices = (device_routes, insight_routes, completeness_routes, plot_routes, command_routes)
    for routes in (*about_devices, fleet_routes, strip_routes, token_routes):
        app.register_api(routes.blueprint)
    app.register_api(token_routes.all_blueprint)
    app.paths.update(openapi.live_paths(PREFIX))
    http_headers.add_headers(app, _SWAGGER)  # first, since Flask runs these functions in reverse order

    @app.after_request
    def revalidate_document(response: Response) -> Response:
        if request.path == f"{PREFIX}/openapi.json":
            response.headers["Cache-Control"] = "no-cache"  # public: it needs no token
        return response

    add_error_handlers(app)

    @app.route(f"{PREFIX}/docs")
    def docs() -> BaseResponse:
        return redirect(_SWAGGER)

    readiness = Cached(lambda: health_routes.check_readiness(store), _READINESS_S)
    Services(store, settings, guard, Metrics(app, store, lambda: guard.failures), readiness).attach(app)
    app.register_blueprint(health_routes.blueprint)
    layout_guard.add_layout_guard(app, store)
    add_cors(app, settings.cors_origins)
    add_limits(app, guard, settings.requests_per_minute)
    return app
