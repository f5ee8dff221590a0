"""The commands `moodwire server run`, `ingest` and `live`; each loads only what it needs."""

import signal
import sys

from server.errors import UnusableError
from server.settings import ServerSettings
from server.store.redis_store import open_store


def run(settings: ServerSettings) -> int:
    """Serve REST until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    from server.rest.serve import serve  # noqa: PLC0415 -- ingest needs neither Flask nor matplotlib

    try:
        serve(open_store(settings), settings)
    except UnusableError as error:
        print(f"moodwire server run: {error}", file=sys.stderr)
        return 2
    return 0


def ingest(settings: ServerSettings) -> int:
    """Store what devices send until SIGTERM or SIGINT; return 0, or 2 with a sentence on stderr if it cannot."""
    from server.ingest.worker import Ingest  # noqa: PLC0415 -- REST needs no MQTT

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
    from server.live.serve import serve  # noqa: PLC0415 -- the others need no event loop

    try:
        serve(open_store(settings), settings)
    except UnusableError as error:
        print(f"moodwire server live: {error}", file=sys.stderr)
        return 2
    return 0
