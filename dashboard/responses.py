"""Responses with the headers that keep a browser safe: problems, files, and what every response carries."""

import json
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.assets import Asset

PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Only files of this server, nothing inline, no frame around it."""
_DATA_CSP = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send the form without an Origin
    "X-Content-Type-Options": "nosniff",
}
_HSTS = "max-age=31536000"
_FOR_EVER = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"


def problem(status: HTTPStatus, detail: str, instance: str, retry_s: int | None = None) -> Response:
    """Return problem details (RFC 9457); `detail` is one sentence that says what to do."""
    body = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "instance": instance}
    headers = {"Cache-Control": "no-store"} | ({} if retry_s is None else {"Retry-After": str(retry_s)})
    return Response(json.dumps(body), status, headers, "application/problem+json")


def file(request: Request, asset: Asset, *, for_ever: bool = False, status: int = 200) -> Response:
    """Return a file, compressed where the browser takes it, or 304 where it has it."""
    headers = {
        "Cache-Control": _FOR_EVER if for_ever else _REVALIDATE,
        "ETag": asset.etag,
        "Vary": "Accept-Encoding, Cookie",
        "Content-Security-Policy": PAGE_CSP,  # also of a 304, whose headers replace those of the kept response
    }
    if status == 200 and asset.etag in request.headers.get("if-none-match", ""):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    headers["Content-Type"] = asset.content_type
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, status, headers | {"Content-Encoding": "gzip"})
    return Response(asset.body, status, headers)


class SecureHeaders:
    """Adds to each response what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and its response back."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (_HEADERS | {"Content-Security-Policy": _DATA_CSP}).items():
                    headers.setdefault(name, value)
                if is_secure(Request(scope)):
                    headers["Strict-Transport-Security"] = _HSTS
            await send(message)

        await self._app(scope, receive, add)


def is_secure(request: Request) -> bool:
    """Return whether the browser speaks TLS, to us or to the proxy before us.

    Whoever claims it wrongly only makes his own cookie stricter.
    """
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
