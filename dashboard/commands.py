"""The command `moodwire dashboard`."""

import logging
import secrets
import sys

from flask import Flask

from common import listening
from dashboard.api import Api
from dashboard.login import protect
from dashboard.news import News
from dashboard.page import create_page
from dashboard.settings import DashboardSettings

log = logging.getLogger(__name__)


def create_app(settings: DashboardSettings, key: str, news: News) -> Flask:
    """Return the WSGI application: login and page."""
    app = Flask("dashboard")
    protect(app, key)
    create_page(app, Api(settings.api_url, settings.api_token), news)
    return app


def run(settings: DashboardSettings) -> int:
    """Serve the page until a signal comes; return 2 if the port is taken."""
    key = settings.dashboard_key or secrets.token_urlsafe(24)
    news = News(settings.live_url, settings.api_token)
    try:
        serve = listening.create_server(
            create_app(settings, key, news), settings.dashboard_host, settings.dashboard_port, threads=8
        )
    except (OSError, ValueError) as error:
        print(
            f"cannot listen on dashboard_host {settings.dashboard_host} and dashboard_port {settings.dashboard_port} "
            f"({error}): set an address of this machine and a free port",
            file=sys.stderr,
        )
        return 2
    where = listening.url(serve, settings.dashboard_host)
    if not settings.dashboard_key:
        print(f"Log in at {where}/login?key={key}", flush=True)
    news.listen()
    log.info("the dashboard listens on %s", where)
    serve.run()
    return 0
