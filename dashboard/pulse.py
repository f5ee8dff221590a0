"""How the server is: asked once every few seconds for all open pages, which show it in their header."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator

from common.outage import Outage
from dashboard.upstream import AwayError, Service

log = logging.getLogger(__name__)

BEAT_S = 3.0
"""How often REST is asked while a page is open."""
_TIMEOUT_S = 2.5
_REPORT_BYTES = 10_000


class Pulse:
    """The state of REST, store and ingest.

    Args:
        rest: Where REST serves.
    """

    def __init__(self, rest: Service) -> None:
        self._rest = rest
        self._watchers = 0
        self._asking: asyncio.Task[None] | None = None
        self._outage = Outage(log)
        self._facts: dict[str, object] = {}

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Ask REST again and again while the context lasts."""
        self._watchers += 1
        if self._asking is None:
            await self._ask()
            self._asking = self._asking or asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._asking:
                self._asking.cancel()
                self._asking = None

    async def now(self) -> dict[str, object]:
        """Return how the server is, asked at this moment unless a page is open anyway."""
        if self._asking is None:
            await self._ask()
        return {"at": time.time_ns() // 1_000_000, **self._facts}

    async def event(self, live: str, silent_s: float = 0.0) -> bytes:
        """Return it as a server-sent event.

        Args:
            live: The state of live events: ok or away.
            silent_s: For how long nothing, not even a heartbeat, has come from them.
        """
        facts = {**await self.now(), "live": live, "silent_s": round(silent_s)}
        return b"event: pulse\ndata: %s\n\n" % json.dumps(facts).encode()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._ask()

    async def _ask(self) -> None:
        """Ask REST whether store and ingest are there."""
        report = b""
        try:
            async with self._rest.ask("GET", "/readyz?verbose", timeout_s=_TIMEOUT_S) as answer:
                async for chunk in answer.chunks:
                    report += chunk
                    if len(report) > _REPORT_BYTES:
                        break
        except AwayError as error:
            self._outage.begin("%s; pages say so", error)
            self._facts = {"rest": "away"}
            return
        self._outage.end("REST answers again")
        lines = report.decode(errors="replace").splitlines()
        failed = {line[4:].partition(":")[0] for line in lines if line.startswith("[-]")}
        self._facts = {
            "rest": "ok",
            "store": "away" if "store" in failed else "ok",
            "ingest": "away" if "ingest" in failed and "store" not in failed else "ok",
        }
