"""The commands `moodwire server run`, `ingest` and `live`; each loads only what it needs."""

import signal
import sys
from collections.abc import Callable

from server.errors import UnusableError
from server.settings import ServerSettings
from server.store.redis_store import open_store


def run(settings: ServerSettings) -> int:
    """Serve REST until SIGTERM or SIGINT."""
    from server.rest.serve import serve  # noqa: PLC0415 -- ingest needs neither Flask nor matplotlib

    return _exit_code("run", lambda: serve(open_store(settings), settings))


def ingest(settings: ServerSettings) -> int:
    """Store what devices send until SIGTERM or SIGINT."""
    from server.ingest.worker import Ingest  # noqa: PLC0415 -- REST needs no MQTT

    def work() -> None:
        worker = Ingest(open_store(settings), settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        worker.run()

    return _exit_code("ingest", work)


def live(settings: ServerSettings) -> int:
    """Serve live events until SIGTERM or SIGINT."""
    from server.live.serve import serve  # noqa: PLC0415 -- the others need no event loop

    return _exit_code("live", lambda: serve(open_store(settings), settings))


def _exit_code(command: str, work: Callable[[], None]) -> int:
    """Do the work of a command; return 0, or 2 after a sentence on stderr if it cannot be done."""
    try:
        work()
    except UnusableError as error:
        print(f"moodwire server {command}: {error}", file=sys.stderr)
        return 2
    return 0
