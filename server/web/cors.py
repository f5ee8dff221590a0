"""Lets pages of other sites read the API from a browser, if the setting names them; nobody by default."""

from flask import Flask, Response, request

_METHODS = "GET, POST, DELETE"
_HEADERS = "Authorization, Content-Type, If-None-Match, Last-Event-ID"
_READABLE = "ETag, Link, Location, Retry-After"
_ASK_AGAIN_S = "600"


def parse_origins(text: str) -> frozenset[str]:
    """Return the origins of a setting, which are separated by commas."""
    return frozenset(origin.strip() for origin in text.split(",")) - {""}


class Cors:
    """The rules, for REST and for live events alike.

    Args:
        origins: Separated by commas, like `https://example.org`; empty for none. There are no cookies to protect, but
            a page that knows a token could then be anywhere.
    """

    def __init__(self, origins: str) -> None:
        self._allowed = parse_origins(origins)

    def __bool__(self) -> bool:
        """Return whether there is any such page."""
        return bool(self._allowed)

    def is_preflight(self, method: str, asked: str | None) -> bool:
        """Return whether a browser asks here what it may ask; 204 is the answer, and `headers` say the rest.

        Args:
            method: Of the request.
            asked: Its header Access-Control-Request-Method.
        """
        return bool(self) and method == "OPTIONS" and asked is not None

    def headers(self, method: str, origin: str) -> dict[str, str]:
        """Return what lets a page of an origin read the answer to a request; nothing if the page may not."""
        if origin not in self._allowed:
            return {}
        found = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": _READABLE,
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if method == "OPTIONS":
            found["Access-Control-Allow-Methods"] = _METHODS
            found["Access-Control-Allow-Headers"] = _HEADERS
            found["Access-Control-Max-Age"] = _ASK_AGAIN_S
        return found


def add_cors(app: Flask, origins: str) -> None:
    """Answer browsers that ask for pages of these origins."""
    cors = Cors(origins)
    if not cors:
        return

    @app.before_request
    def answer_preflight() -> Response | None:
        asked = request.headers.get("Access-Control-Request-Method")
        return Response(status=204) if cors.is_preflight(request.method, asked) else None

    @app.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        for name, value in cors.headers(request.method, request.headers.get("Origin", "")).items():
            response.headers[name] = value
        return response
