"""The dashboard's application: the page's files, log-in, and what passes through to REST and live events."""

import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard import passage, responses
from dashboard.assets import Assets
from dashboard.login import CSRF_HEADER, Login, is_same_origin
from dashboard.pulse import Pulse
from dashboard.sessions import Session
from dashboard.upstream import Service

Endpoint = Callable[[Request], Awaitable[Response]]
GuardedEndpoint = Callable[[Request, Session], Awaitable[Response]]
Guard = Callable[[GuardedEndpoint], Endpoint]


def create_app(assets: Assets, login: Login, rest: Service, live: Service) -> Starlette:
    """Return the ASGI application.

    Args:
        assets: The page's files.
        login: Knows who is logged in.
        rest: The REST API.
        live: Live events.
    """
    guarded = _guard(login)
    app = Starlette(
        routes=[
            *_pages(assets, login),
            Route("/login", login.show),
            Route("/login", login.enter, methods=["POST"]),
            Route("/logout", guarded(login.leave), methods=["POST"]),
            Route("/session", guarded(login.tell)),
            *_passages(guarded, login, rest, live),
        ],
        middleware=[Middleware(responses.SecureHeaders)],
        exception_handlers={HTTPException: _refuse},
    )
    app.router.redirect_slashes = False
    return app


def _pages(assets: Assets, login: Login) -> list[Route]:
    """Return the routes to the page and its files."""

    async def index(request: Request) -> Response:
        if login.session(request) is None:
            return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        return responses.file(request, assets.page("index.html"))

    async def static(request: Request) -> Response:
        asset = assets.find(request.url.path)
        if asset is None:
            return responses.problem(HTTPStatus.NOT_FOUND, "no such file: load the page anew", request.url.path)
        return responses.file(request, asset, for_ever=True)

    def one(name: str) -> Endpoint:
        async def answer(request: Request) -> Response:
            return responses.file(request, assets.page(name))

        return answer

    async def livez(_request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    return [
        Route("/", index),
        Route("/static/{path:path}", static),
        Route("/manifest.webmanifest", one("manifest.webmanifest")),
        Route("/icon.svg", one("icon.svg")),
        Route("/favicon.ico", one("icon.svg")),
        Route("/livez", livez),
    ]


def _passages(
    guarded: Callable[[GuardedEndpoint], Endpoint], login: Login, rest: Service, live: Service
) -> list[Route]:
    """Return the routes to REST and to live events."""
    pulse = Pulse(rest)

    async def api(request: Request, session: Session) -> Response:
        response = await passage.pass_on(request, rest, session)
        if response.status_code == HTTPStatus.UNAUTHORIZED:  # the token has been revoked
            login.end(request)
        return response

    async def stream(request: Request, session: Session) -> Response:
        return passage.stream(
            live, pulse, session, request.headers.get("last-event-id", ""), lambda: login.is_in(request)
        )

    async def show_pulse(_request: Request, _session: Session) -> Response:
        return JSONResponse(await pulse.now(), headers={"Cache-Control": "no-store"})

    return [
        Route("/live", guarded(stream)),
        Route("/pulse", guarded(show_pulse)),
        Route(f"{passage.PREFIX}{{path:path}}", guarded(api), methods=passage.METHODS),
    ]


def _guard(login: Login) -> Guard:
    """Return what lets in only who is logged in, and what changes something only with the header of our own page."""

    def guarded(endpoint: GuardedEndpoint) -> Endpoint:
        async def guard(request: Request) -> Response:
            session = login.session(request)
            if session is None:
                return responses.problem(HTTPStatus.UNAUTHORIZED, "log in again", request.url.path)
            if request.method not in {"GET", "HEAD"}:
                sent = request.headers.get(CSRF_HEADER, "")
                if not is_same_origin(request) or not hmac.compare_digest(sent.encode(), session.csrf.encode()):
                    detail = f"the request does not come from the dashboard's page: send its header {CSRF_HEADER}"
                    return responses.problem(HTTPStatus.FORBIDDEN, detail, request.url.path)
            return await endpoint(request, session)

        return guard

    return guarded


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return responses.problem(HTTPStatus(error.status_code), "there is no such page: begin at /", request.url.path)
