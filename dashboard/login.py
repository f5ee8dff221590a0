"""Log-in with a token of REST, or with the key that the dashboard prints; the cookie is what stays in the browser."""

import hashlib
import hmac
import json
import logging
import re
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from common.throttle import Throttle
from dashboard import responses
from dashboard.assets import Assets
from dashboard.sessions import Session, Sessions
from dashboard.upstream import AwayError, Service

log = logging.getLogger(__name__)

CSRF_HEADER = "X-CSRF-Token"
_FORM_BYTES = 4096
_TIMEOUT_S = 5.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_SAID = b"{said}"
_WRONG = "This is neither a token of this server nor the key that the dashboard printed."


class Login:
    """The routes that log in and out.

    Args:
        assets: The page with the form is one of them.
        sessions: Those that are logged in.
        rest: Knows the tokens.
        key: Of the printed link; empty for none.
        api_token: What the key stands for.
    """

    def __init__(self, assets: Assets, sessions: Sessions, rest: Service, key: str, api_token: str) -> None:
        self._assets = assets
        self._sessions = sessions
        self._rest = rest
        self._key = key
        self._key_digest = hashlib.sha256(b"moodwire dashboard key " + key.encode()).hexdigest() if key else ""
        self._api_token = api_token
        self._throttle = Throttle(log, "a log-in")

    def session(self, request: Request) -> Session | None:
        """Return the session of a request; one by the key ends with the key."""
        found = self._sessions.find(request.cookies.get(_cookie_name(request), ""))
        return found if found and found.key in {"", self._key_digest} else None

    def is_in(self, request: Request) -> bool:
        """Return whether whoever made a request is still logged in."""
        return self.session(request) is not None

    def end(self, request: Request) -> None:
        """End the session of a request."""
        self._sessions.close(request.cookies.get(_cookie_name(request), ""))

    async def show(self, request: Request) -> Response:
        """Show the form, or take the key of the printed link."""
        if "key" in request.query_params:
            return await self._enter(request, request.query_params["key"])
        return RedirectResponse("/", HTTPStatus.SEE_OTHER) if self.session(request) else self._form()

    async def enter(self, request: Request) -> Response:
        """Take what was typed into the form."""
        if not is_same_origin(request):
            return responses.problem(HTTPStatus.FORBIDDEN, "log in on the dashboard's own page", "/login")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _FORM_BYTES:
                return self._form("That is too long.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        given = parse_qs(body.decode(errors="replace"), max_num_fields=5).get("token", [""])[0]
        return await self._enter(request, given.strip())

    async def leave(self, request: Request, _session: Session) -> Response:
        """Log out."""
        self.end(request)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.delete_cookie(_cookie_name(request), path="/")
        return response

    async def tell(self, _request: Request, session: Session) -> Response:
        """Tell the page whose session it is, and what to send as a header with what changes something."""
        body = {"name": session.name, "role": session.role, "csrf": session.csrf, "expires_at": session.expires_at}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def _enter(self, request: Request, given: str) -> Response:
        address = request.client.host if request.client else ""
        wait_s = self._throttle.wait_s(address)
        if wait_s:
            said = f"Too many failed log-ins. Wait {wait_s} s."
            response = self._form(said, HTTPStatus.TOO_MANY_REQUESTS)
            response.headers["Retry-After"] = str(wait_s)
            return response
        by_key = self._key and hmac.compare_digest(given.encode(), self._key.encode())
        token = self._api_token if by_key else given
        try:
            found = await self._whose(token) if _TOKEN.fullmatch(token) else None
        except AwayError as error:
            return self._form(f"{error}. Try again in a few seconds.", HTTPStatus.BAD_GATEWAY)
        if found is None and by_key:
            return self._form("REST refuses the dashboard's own api_token.", HTTPStatus.BAD_GATEWAY)
        if found is None:
            self._throttle.fail(address)
            return self._form(_WRONG, HTTPStatus.FORBIDDEN)
        self.end(request)  # each log-in has a cookie of its own
        cookie, session = self._sessions.open(token, *found, key=self._key_digest if by_key else "")
        log.info("%s logged in as %s from %s", session.name, session.role, address)
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.set_cookie(
            _cookie_name(request),
            cookie,
            max_age=self._sessions.lifetime_s,
            path="/",
            secure=responses.is_secure(request),
            httponly=True,
            samesite="strict",
        )
        return response

    async def _whose(self, token: str) -> tuple[str, str] | None:
        """Return name and role of a token; None if REST does not know it.

        Raises:
            AwayError: REST does not answer.
        """
        body = b""
        async with self._rest.ask("GET", "/api/v1/token", token=token, timeout_s=_TIMEOUT_S) as answer:
            async for chunk in answer.chunks:
                body += chunk
            if answer.status == HTTPStatus.UNAUTHORIZED:
                return None
            if answer.status != HTTPStatus.OK:
                raise AwayError(f"{self._rest.name} answers with status {answer.status}")
        try:
            found = json.loads(body)
            return str(found["name"]), str(found["role"])
        except (ValueError, KeyError, TypeError) as error:
            raise AwayError(f"{self._rest.name} is no REST API of moodwire") from error

    def _form(self, said: str = "", status: HTTPStatus = HTTPStatus.OK) -> Response:
        asset = self._assets.page("login.html")
        body = asset.body.replace(_SAID, said.encode())
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": responses.PAGE_CSP}
        return Response(body, status, headers, asset.content_type)


def is_same_origin(request: Request) -> bool:
    """Return whether a request comes from our own page, as far as the browser says (Fetch metadata, Origin)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    hosts = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
    return origin is None or origin.partition("://")[2] in hosts


def _cookie_name(request: Request) -> str:
    """Return the name of the cookie, another one for each port.

    Browsers keep one jar for all ports of a host (RFC 6265, section 8.5), so a second dashboard there would otherwise
    replace the cookie of the first, and log its users out.
    """
    port = request.headers.get("host", "").rpartition("]")[2].rpartition(":")[2]
    return f"moodwire-{port}" if port.isascii() and port.isdigit() else "moodwire"
