"""Lets pages of other sites read the API from a browser, if the setting names them; nobody by default."""

from flask import Flask, Response, request

_METHODS = "GET, POST, DELETE"
_HEADERS = "Authorization, Content-Type, If-None-Match"
_READABLE = "ETag, Link, Location, Retry-After"
_ASK_AGAIN_S = "600"


def add_cors(app: Flask, origins: str) -> None:
    """Answer browsers that ask for pages of these origins.

    Args:
        app: The application.
        origins: Separated by commas, like `https://example.org`; empty for none. There are no cookies to protect, but
            a page that knows a token could then be anywhere.
    """
    allowed = frozenset(origin.strip() for origin in origins.split(",")) - {""}
    if not allowed:
        return

    @app.before_request
    def answer_preflight() -> Response | None:
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        return Response(status=204)  # `allow` says the rest

    @app.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if origin not in allowed:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _READABLE
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = _HEADERS
            response.headers["Access-Control-Max-Age"] = _ASK_AGAIN_S
        return response
