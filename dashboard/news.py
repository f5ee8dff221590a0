"""Tells when to draw again: after a live event, or at fixed times while there are no live events.

The dashboard subscribes once, with its own token, for all viewers. Browsers poll it; it answers from memory whether
there is news, and only then they ask for a drawing, which all viewers of the same device share. Passing the stream on
would hold a thread of the WSGI server for each open page. An event is only a hint: what is drawn comes from REST, so a
missed event does no harm.
"""

import json
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable

import requests

from common import own_services, urls
from dashboard.api import TIMEOUT_S

log = logging.getLogger(__name__)

POLL_S = 2.0
"""Everything counts as new at this interval while there are no live events."""
QUIET_S = 5.0
"""A device counts as new at this interval even without an event, because silence is drawn too."""
TOGETHER_S = 0.25
"""Events within this time are one piece of news."""
LIST_S_PER_DEVICE = 0.005
"""Time between two drawings of the list, for each device on it: a thousand take half a second to draw."""
_SILENT_S = 40.0
"""The stream is given up after this silence; the server sends a heartbeat every 15 s."""
_RETRY_S = 2.0


class News:
    """What has changed, as marks: a mark that differs from the last one means news. Safe to use from several threads.

    Args:
        url: Where live events are served.
        token: A viewer's.
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, url: str, token: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/live"
        self._place = urls.readable(self._url)
        """For people."""
        self._token = token
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._is_live = False
        self._begun = 0
        """How often the stream has begun, or events were missed."""
        self._counts: Counter[str] = Counter()
        """Events of each device."""
        self._shown: Counter[str] = Counter()
        self._shown_at_s = -math.inf
        self._list_shown = 0
        self._list_shown_at_s = -math.inf

    def listen(self) -> None:
        """Subscribe in a thread that ends with the process."""
        threading.Thread(target=self._run, name="news", daemon=True).start()

    def mark(self, mac: str) -> str:
        """Return a text that changes when there may be news of a device."""
        now_s = self._clock_s()
        with self._lock:
            if not self._is_live:
                return _polled(now_s)
            if now_s - self._shown_at_s >= TOGETHER_S:
                self._shown, self._shown_at_s = self._counts.copy(), now_s
            return f"{self._begun} {self._shown[mac]} {int(now_s / QUIET_S)}"

    def list_mark(self) -> str:
        """Return a text that changes when there may be news in the list of devices."""
        now_s = self._clock_s()
        with self._lock:
            if not self._is_live:
                return _polled(now_s)
            together_s = max(TOGETHER_S, LIST_S_PER_DEVICE * len(self._counts))
            if now_s - self._list_shown_at_s >= together_s:
                self._list_shown, self._list_shown_at_s = self._counts.total(), now_s
            return f"{self._begun} {self._list_shown} {int(now_s / max(QUIET_S, together_s))}"

    def _run(self) -> None:
        """Subscribe again and again; log an outage once, and its end."""
        said = False
        while True:
            why = self._hear()
            with self._lock:
                was_live, self._is_live = self._is_live, False
            if was_live or not said:
                log.warning(
                    "no live events: %s %s; the page looks every %.0f s meanwhile",
                    self._place,
                    why,
                    POLL_S,
                )
                said = True
            time.sleep(_RETRY_S)

    def _hear(self) -> str:
        """Read the stream until it ends, and return why: what the address did."""
        timeouts_s = (TIMEOUT_S, _SILENT_S)
        try:
            with own_services.get(self._url, self._token, stream=True, timeout=timeouts_s) as answer:
                if not answer.ok:
                    return f"answers with status {answer.status_code}"
                self._begin()
                log.info("live events come from %s", self._place)
                for line in answer.iter_lines(chunk_size=None):
                    if line.startswith(b"data: "):
                        self._note(json.loads(line.removeprefix(b"data: ")).get("mac_address"))
        except (requests.RequestException, ValueError):
            return "does not answer"
        return "has ended the stream"

    def _begin(self) -> None:
        """Let everything count as new, because events may have been missed."""
        with self._lock:
            self._begun += 1
            self._is_live = True

    def _note(self, mac: str | None) -> None:
        """Count an event of a device; None: events were missed."""
        if mac is None:
            self._begin()
            return
        with self._lock:
            self._counts[mac] += 1


def _polled(now_s: float) -> str:
    """Return the mark for a time without live events."""
    return f"polled {int(now_s / POLL_S)}"
