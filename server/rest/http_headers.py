"""HTTP headers: caching and revalidation, compression, and what keeps a response safe in a browser.

Compression here takes a dozen lines of the standard library; Flask-Compress would bring three native packages for
encodings that no client of this API needs, and waitress has none.
"""

import gzip

from flask import Flask, Response, request

_MIN_COMPRESSED_BYTES = 1000
"""A smaller body fits into one packet as it is."""
_GZIP_LEVEL = 5
_COMPRESSIBLE = frozenset(
    ["application/json", "application/problem+json", "text/csv", "text/plain", "text/html", "image/svg+xml"]
)
_CSP = "default-src 'none'; frame-ancestors 'none'"
_IMAGE_CSP = f"{_CSP}; style-src 'unsafe-inline'"
"""SVG has its styles inside."""
_PAGE_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'"
)


def revalidate(response: Response) -> Response:
    """Let a client keep a response, and revalidate it each time.

    Never without revalidation: a device may still deliver what it heard then, and Delete must show at once.
    """
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def cache_for(response: Response, seconds: int) -> Response:
    """Let a client keep a response for some time without revalidation."""
    response.headers["Cache-Control"] = f"private, max-age={seconds}"
    return response


def client_has(etag: str) -> bool:
    """Return whether the client has the response with this tag, so that it need not be made."""
    return request.if_none_match.contains_weak(etag)


def not_modified(etag: str) -> Response:
    """Return the response to a client that has the current one."""
    response = revalidate(Response(status=304))
    response.set_etag(etag, weak=True)
    return response


def add_headers(app: Flask, docs: str) -> None:
    """Add headers to every response of an application, and compress it.

    Args:
        app: The application.
        docs: Path below which there are pages with scripts of this server.
    """

    @app.after_request
    def finish(response: Response) -> Response:
        _secure(response, docs)
        response.headers.setdefault("Cache-Control", "no-store")
        if response.direct_passthrough or response.is_streamed:
            return response
        if response.status_code == 200 and not response.cache_control.no_store:
            # Weak, because the compressed body has other bytes and the same meaning (RFC 9110, section 8.8.3).
            response.add_etag(weak=True)
            response.make_conditional(request)
        if response.mimetype in _COMPRESSIBLE:
            _compress(response)
        return response


def _secure(response: Response, docs: str) -> None:
    """Keep browsers from doing more with a response than showing it."""
    policy = _CSP
    if request.path.startswith(docs):
        policy = _PAGE_CSP
    elif response.mimetype == "image/svg+xml":
        policy = _IMAGE_CSP
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"


def _compress(response: Response) -> None:
    """Compress a large body for a client that accepts gzip."""
    response.vary.add("Accept-Encoding")
    body = response.get_data()
    if len(body) < _MIN_COMPRESSED_BYTES or not request.accept_encodings["gzip"]:
        return
    response.set_data(gzip.compress(body, _GZIP_LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
