"""Login with the key, kept in a cookie that scripts and other sites cannot use."""

import hashlib
import hmac
from collections.abc import Callable

from flask import Blueprint, Flask, redirect, request, session
from werkzeug.wrappers import Response

OPEN_PATHS = {"/login", "/livez", "/assets/style.css", "/favicon.ico"}

_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""No other site may frame the page, or learn its address, which may contain the key."""

_FORM = """<!doctype html><html lang="en"><title>moodwire: log in</title>
<link rel="stylesheet" href="/assets/style.css"><meta name="viewport" content="width=device-width">
<main class="login"><h1>moodwire</h1><form method="post" action="/login"><label for="key">Key</label>
<input id="key" name="key" type="password" autocomplete="current-password" autofocus required>
<button>Log in</button></form><p role="alert">%s</p></main></html>"""


def protect(app: Flask, key: str) -> None:
    """Require a login with the key.

    The cookie is signed with a key derived from the login key, so it outlives a restart and dies with a new key.
    SameSite=Strict keeps other sites from sending requests in a user's name.
    """
    app.secret_key = hashlib.sha256(b"moodwire dashboard cookie" + key.encode()).digest()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_NAME=cookie_name(key)
    )
    app.register_blueprint(_pages(key))

    @app.before_request
    def check() -> Response | tuple[str, int] | None:
        if request.path in OPEN_PATHS or session.get("in"):
            return None
        if request.method == "GET" and request.path == "/":
            return redirect("/login")
        return "Log in first.", 401

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response


def cookie_name(key: str) -> str:
    """Return the name of the cookie, another one for each key.

    Browsers keep one jar for all ports of a host (RFC 6265, section 8.5), so a second dashboard there would otherwise
    replace the cookie of the first, and log its users out.
    """
    return f"moodwire-{hashlib.sha256(b'moodwire dashboard cookie name' + key.encode()).hexdigest()[:8]}"


def _pages(key: str) -> Blueprint:
    pages = Blueprint("login", __name__)

    def enter(given: str | None) -> Response | tuple[str, int] | str:
        if given is None:
            return _FORM % ""
        if not hmac.compare_digest(given.encode(), key.encode()):
            return _FORM % "That is not the key. It was printed when the dashboard started.", 403
        session["in"] = True
        return redirect("/")

    get: Callable[[], Response | tuple[str, int] | str] = lambda: enter(request.args.get("key"))  # noqa: E731
    post: Callable[[], Response | tuple[str, int] | str] = lambda: enter(request.form.get("key", ""))  # noqa: E731
    pages.add_url_rule("/login", "form", get, methods=["GET"])
    pages.add_url_rule("/login", "enter", post, methods=["POST"])
    pages.add_url_rule("/livez", "livez", lambda: "ok\n")
    return pages
