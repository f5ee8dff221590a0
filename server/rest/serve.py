"""Serves the REST application with waitress until it is told to stop, and makes the tokens at the start."""

import contextlib
import logging
import signal
import threading
import time
from types import FrameType

from common import listening
from common.outage import Outage
from server.errors import StoreAwayError, UnusableError
from server.rest.app import create_app
from server.rest.blueprint import PREFIX
from server.rest.painter import PLACES
from server.settings import ServerSettings
from server.store import layout
from server.store.redis_store import RedisStore
from server.web.auth import Guard

log = logging.getLogger(__name__)

_THREADS = 8 + PLACES
"""Requests that are answered at a time while all places for plots are taken, and those."""
_RETRY_S = 2.0


def serve(store: RedisStore, settings: ServerSettings) -> None:
    """Serve REST until SIGTERM or SIGINT.

    Raises:
        UnusableError: the address or port cannot be listened on, or the store holds data in another layout.
    """
    with contextlib.suppress(StoreAwayError):  # `_prepare` waits for it
        layout.check(store.execute)
    guard = Guard(settings, store)
    try:
        server = listening.create_server(
            create_app(store, settings, guard),
            settings.api_host,
            settings.api_port,
            threads=_THREADS,
        )
    except (OSError, ValueError) as error:
        raise UnusableError(
            f"api_host {settings.api_host} with api_port {settings.api_port} cannot be listened on ({error}): "
            "set an address of this machine and a free port"
        ) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    threading.Thread(target=_prepare, args=(store, guard), name="prepare", daemon=True).start()
    log.info("REST listens on %s%s", listening.url(server, settings.api_host), PREFIX)
    server.run()


def _prepare(store: RedisStore, guard: Guard) -> None:
    """Wait for the store and make the tokens, so that they are printed at the start, not at the first request."""
    store_away, other_layout = Outage(log), Outage(log)
    while True:
        try:
            layout.check(store.execute)
            guard.prepare()
        except StoreAwayError as error:
            store_away.begin("%s; requests are answered 503 until it does", error)
        except UnusableError as error:
            store_away.end("the store is back")
            other_layout.begin("%s; requests are answered 503 until then", error)
        else:
            store_away.end("the store is back")
            other_layout.end("the store has the layout of this version")
            return
        time.sleep(_RETRY_S)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Make waitress finish its requests and return."""
    raise SystemExit(0)
