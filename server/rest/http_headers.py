"""How answers travel: kept and revalidated where that helps, compressed where that is much, and safe in a browser.

Compressing here takes a dozen lines of the standard library; Flask-Compress would bring three native packages for
encodings that no client of this API needs, and waitress has none.
"""

import gzip

from flask import Flask, Response, request

_SMALL_BYTES = 1000
"""A body below this fits into one packet as it is."""
_LEVEL = 5
_COMPRESSIBLE = frozenset(
    ["application/json", "application/problem+json", "text/csv", "text/plain", "text/html", "image/svg+xml"]
)
_CSP = "default-src 'none'; frame-ancestors 'none'"
_IMAGE_CSP = f"{_CSP}; style-src 'unsafe-inline'"
"""SVG carries its styles with it."""
_PAGE_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)


def revalidated(response: Response) -> Response:
    """Let a client keep an answer, and ask each time whether it still holds.

    Never longer without asking: a device may still deliver what it heard then, and Delete shall show at once.
    """
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def lasting(response: Response, seconds: int) -> Response:
    """Let a client keep an answer for so long without asking."""
    response.headers["Cache-Control"] = f"private, max-age={seconds}"
    return response


def is_known(etag: str) -> bool:
    """Return whether the client has the answer with this tag, so that it need not be made."""
    return request.if_none_match.contains_weak(etag)


def not_changed(etag: str) -> Response:
    """Return the answer to a client that has it already."""
    response = revalidated(Response(status=304))
    response.set_etag(etag, weak=True)
    return response


def deliver_well(app: Flask, pages: str) -> None:
    """Finish every answer of an application.

    Args:
        app: The application.
        pages: Path below which there are pages for people, with scripts of this server.
    """

    @app.after_request
    def finish(response: Response) -> Response:
        _secure(response, pages)
        response.headers.setdefault("Cache-Control", "no-store")
        if response.direct_passthrough or response.is_streamed:
            return response
        if response.status_code == 200 and not response.cache_control.no_store:
            # Weak, because the compressed body is another sequence of bytes with the same meaning.
            response.add_etag(weak=True)
            response.make_conditional(request)
        if response.mimetype in _COMPRESSIBLE:
            _compress(response)
        return response


def _secure(response: Response, pages: str) -> None:
    """Add what keeps browsers from doing more with an answer than showing it."""
    policy = _CSP
    if request.path.startswith(pages):
        policy = _PAGE_CSP
    elif response.mimetype == "image/svg+xml":
        policy = _IMAGE_CSP
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"


def _compress(response: Response) -> None:
    """Compress a large body for a client that takes it so."""
    response.vary.add("Accept-Encoding")
    body = response.get_data()
    if len(body) < _SMALL_BYTES or not request.accept_encodings["gzip"]:
        return
    response.set_data(gzip.compress(body, _LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
