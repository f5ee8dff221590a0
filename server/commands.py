"""The commands `moodwire server run` and `moodwire server ingest`."""

import logging
import signal
import sys
import threading
import time
from types import FrameType

import waitress.server  # type: ignore[import-untyped]

from server.app import PREFIX, create_app
from server.auth import Guard
from server.ingest import Ingest
from server.layout import DAY_MS
from server.problems import StoreAwayError, UnusableError
from server.redis_store import RedisStore
from server.settings import ServerSettings

log = logging.getLogger(__name__)

_THREADS = 8
_RETRY_S = 2.0


def run(settings: ServerSettings) -> int:
    """Serve REST until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    try:
        return _run(settings)
    except UnusableError as error:
        print(f"moodwire server run: {error}", file=sys.stderr)
        return 2


def ingest(settings: ServerSettings) -> int:
    """Store what devices send until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    try:
        worker = Ingest(open_store(settings), settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run()
    except UnusableError as error:
        print(f"moodwire server ingest: {error}", file=sys.stderr)
        return 2
    return 0


def open_store(settings: ServerSettings) -> RedisStore:
    """Return the store that the settings name; nothing is sent to it yet.

    Raises:
        UnusableError: the URL or a retention is not usable.
    """
    if not 0 < settings.retention_days <= settings.rollup_retention_days:
        raise UnusableError(
            f"retention_days {settings.retention_days} and rollup_retention_days {settings.rollup_retention_days} "
            "do not fit: at least 1 day, and the second no less than the first, is right"
        )
    return RedisStore(settings.redis_url, settings.retention_days * DAY_MS, settings.rollup_retention_days * DAY_MS)


def _run(settings: ServerSettings) -> int:
    store = open_store(settings)
    guard = Guard(settings, store)
    try:
        server = waitress.server.create_server(
            create_app(store, settings, guard),
            host=settings.api_host,
            port=settings.api_port,
            threads=_THREADS,
            ident=None,
        )
    except (OSError, OverflowError, ValueError) as error:
        raise UnusableError(
            f"api_host {settings.api_host} with api_port {settings.api_port} cannot be listened on ({error}): "
            "an address of this machine with a free port is right"
        ) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    threading.Thread(target=_prepare, args=(guard,), name="prepare", daemon=True).start()
    log.info("REST listens on http://%s:%s%s", settings.api_host, server.effective_port, PREFIX)
    server.run()
    return 0


def _prepare(guard: Guard) -> None:
    """Wait for the store and make the tokens, so that they are printed at the start and not at the first request."""
    said = False
    while True:
        try:
            guard.prepare()
        except StoreAwayError as error:
            if not said:
                log.warning("%s; requests are answered 503 until it does", error)
                said = True
            time.sleep(_RETRY_S)
        else:
            if said:
                log.info("the store is back")
            return


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Let waitress end its work."""
    raise SystemExit(0)
