"""Cross-origin requests: pages of which sites may read responses in a browser; none by default.

There are no cookies to protect, but a page that knows a token could then be anywhere.
"""

from flask import Flask, Response, request

_READABLE = {"Access-Control-Expose-Headers": "ETag, Link, Location, Retry-After"}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Last-Event-ID",
    "Access-Control-Max-Age": "600",
}


def parse_origins(text: str) -> frozenset[str]:
    """Return the origins of a setting, which are separated by commas."""
    return frozenset(origin.strip() for origin in text.split(",")) - {""}


def add_cors(app: Flask, origins: str) -> None:
    """Let pages of these origins, separated by commas, read the responses of an application.

    Source: WHATWG Fetch, section 3.2, HTTP CORS protocol.
    """
    allowed = parse_origins(origins)
    if not allowed:
        return

    @app.before_request
    def answer_preflight() -> Response | None:
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if is_preflight else None

    @app.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin in allowed:
            response.headers.update({"Access-Control-Allow-Origin": origin, **_READABLE})
            if request.method == "OPTIONS":
                response.headers.update(_PREFLIGHT)
        return response
