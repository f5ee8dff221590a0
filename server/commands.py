"""The commands `moodwire server run`, `ingest` and `live`; each loads only what it needs."""

import signal
import sys

from server.layout import DAY_MS
from server.problems import UnusableError
from server.redis_store import RedisStore
from server.settings import ServerSettings


def run(settings: ServerSettings) -> int:
    """Serve REST until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    from server.rest import serve  # noqa: PLC0415 -- ingest needs neither Flask nor matplotlib

    try:
        serve(open_store(settings), settings)
    except UnusableError as error:
        print(f"moodwire server run: {error}", file=sys.stderr)
        return 2
    return 0


def ingest(settings: ServerSettings) -> int:
    """Store what devices send until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    from server.ingest import Ingest  # noqa: PLC0415 -- REST needs no MQTT

    try:
        worker = Ingest(open_store(settings), settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run()
    except UnusableError as error:
        print(f"moodwire server ingest: {error}", file=sys.stderr)
        return 2
    return 0


def live(settings: ServerSettings) -> int:
    """Serve live events until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    from server.live import serve  # noqa: PLC0415 -- the others need no event loop

    try:
        serve(open_store(settings), settings)
    except UnusableError as error:
        print(f"moodwire server live: {error}", file=sys.stderr)
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
