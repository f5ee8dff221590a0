"""Says when there is something new to draw, by the server's live events, or by the clock while they are away.

The dashboard listens once, with its own token, however many people look. Their browsers ask it every moment whether
there is news, which it answers from memory, and only then for a drawing, which all who look at the same share. Handing
the stream itself to each browser would hold a thread of the WSGI server for each open page. An event is only a hint:
what is drawn comes from REST, so an event that is missed does no harm.
"""

import json
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable

import requests

from dashboard.api import TIMEOUT_S

log = logging.getLogger(__name__)

POLL_S = 2.0
"""While live events are away, everything counts as new so often."""
QUIET_S = 5.0
"""So often even without an event, because time passes and silence is drawn as well."""
TOGETHER_S = 0.25
"""Events within that are news together."""
LIST_S_PER_DEVICE = 0.005
"""The list of devices is new the seldomer the more of them there are, since a thousand take half a second to show."""
_SILENT_S = 40.0
"""The server says something every 15 s; who says nothing for so long is gone."""
_RETRY_S = 2.0


class News:
    """What has changed, as marks to compare. Safe to use from several threads.

    Args:
        url: Where live events are served.
        token: A viewer's.
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, url: str, token: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/live"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._is_live = False
        self._begun = 0
        """How often listening has begun, or something was missed."""
        self._counts: Counter[str] = Counter()
        """Events of each device."""
        self._shown: Counter[str] = Counter()
        self._shown_at_s = -math.inf
        self._list_shown = 0
        self._list_shown_at_s = -math.inf

    def listen(self) -> None:
        """Listen from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="news", daemon=True).start()

    def mark(self, mac: str) -> str:
        """Return a text that is another one once there may be something new of a device."""
        now_s = self._clock_s()
        with self._lock:
            if not self._is_live:
                return _polled(now_s)
            if now_s - self._shown_at_s >= TOGETHER_S:
                self._shown, self._shown_at_s = self._counts.copy(), now_s
            return f"{self._begun} {self._shown[mac]} {int(now_s / QUIET_S)}"

    def list_mark(self) -> str:
        """Return a text that is another one once there may be something new in the list of devices."""
        now_s = self._clock_s()
        with self._lock:
            if not self._is_live:
                return _polled(now_s)
            together_s = max(TOGETHER_S, LIST_S_PER_DEVICE * len(self._counts))
            if now_s - self._list_shown_at_s >= together_s:
                self._list_shown, self._list_shown_at_s = self._counts.total(), now_s
            return f"{self._begun} {self._list_shown} {int(now_s / max(QUIET_S, together_s))}"

    def _run(self) -> None:
        """Listen for ever; say once that it is not possible, and once that it is again."""
        said = False
        while True:
            why = self._hear()
            with self._lock:
                was_live, self._is_live = self._is_live, False
            if was_live or not said:
                log.warning("no live events: %s %s; the page looks every %.0f s meanwhile", self._url, why, POLL_S)
                said = True
            time.sleep(_RETRY_S)

    def _hear(self) -> str:
        """Listen as long as it goes well, and return what happened to the address then."""
        timeouts_s = (TIMEOUT_S, _SILENT_S)
        try:
            with requests.get(self._url, headers=self._headers, stream=True, timeout=timeouts_s) as answer:
                if not answer.ok:
                    return f"answers with status {answer.status_code}"
                self._begin()
                log.info("live events come from %s", self._url)
                for line in answer.iter_lines(chunk_size=None):
                    if line.startswith(b"data: "):
                        self._note(json.loads(line.removeprefix(b"data: ")).get("mac_address"))
        except (requests.RequestException, ValueError):
            return "does not answer"
        return "has ended the stream"

    def _begin(self) -> None:
        """Let everything be new, since nobody knows what was before."""
        with self._lock:
            self._begun += 1
            self._is_live = True

    def _note(self, mac: str | None) -> None:
        """Note an event of a device, or that some were missed."""
        if mac is None:
            self._begin()
            return
        with self._lock:
            self._counts[mac] += 1


def _polled(now_s: float) -> str:
    """Return the mark of a time without live events."""
    return f"polled {int(now_s / POLL_S)}"
