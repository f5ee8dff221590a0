"""The command `moodwire dashboard`."""

import asyncio
import logging
import secrets
import signal
import sys
from pathlib import Path

from common import addresses, streaming
from common.listening import allow_many_connections
from dashboard.app import create_app
from dashboard.assets import Assets
from dashboard.login import Login
from dashboard.sessions import Sessions
from dashboard.settings import DashboardSettings
from dashboard.upstream import Service

log = logging.getLogger(__name__)

_DAY_S = 86_400
_LONGEST_DAYS = 400
"""Browsers keep no cookie longer."""


def run(settings: DashboardSettings) -> int:
    """Serve the page until a signal comes; return 2 if it cannot with these settings."""
    if not 1 <= settings.session_days <= _LONGEST_DAYS:
        return _refuse(f"session_days is {settings.session_days}: set 1 to {_LONGEST_DAYS}")
    try:
        rest = Service("the REST API", settings.api_url)
    except ValueError as error:
        return _refuse(f"api_url is no URL that can be used: {error}")
    try:
        live = Service("live events", settings.live_url)
    except ValueError as error:
        return _refuse(f"live_url is no URL that can be used: {error}")
    key = settings.dashboard_key or (secrets.token_urlsafe(24) if settings.api_token else "")
    kept = Path(settings.dashboard_dir) / "sessions.json" if settings.dashboard_dir else None
    assets, sessions = Assets(), Sessions(kept, settings.session_days * _DAY_S)
    app = create_app(assets, Login(assets, sessions, rest, key, settings.api_token), rest, live)
    allow_many_connections()
    try:
        sockets = streaming.listen(settings.dashboard_host, settings.dashboard_port)
    except (OSError, ValueError) as error:
        return _refuse(
            f"cannot listen on dashboard_host {settings.dashboard_host} and dashboard_port {settings.dashboard_port} "
            f"({error}): set an address of this machine and a free port"
        )
    where = f"http://{addresses.join(settings.dashboard_host, sockets[0].getsockname()[1])}"
    if key and not settings.dashboard_key:
        print(f"Log in at {where}/login?key={key}", flush=True)
    log.info("the dashboard listens on %s", where)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn ends in order on these, and then raises them once more
    asyncio.run(streaming.server(app).serve(sockets=sockets))
    return 0


def _refuse(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2
