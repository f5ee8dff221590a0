"""Draws plots one at a time, beside the requests that wait for them, and refuses those that would wait too long."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from matplotlib.figure import Figure

from server.errors import ProblemError
from server.rest import plots
from server.web.problems import RETRY_S

PLACES = 8
"""Plots that are drawn or wait; each holds a thread of the server, which has more of them."""
PLACES_OF_A_TOKEN = 6
"""So that no token can keep all others from plots."""


class Painter:
    """The queue in front of the one thread that draws.

    One thread, because matplotlib does not promise to be safe in several, and each would keep memory of its own.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "painter")
        self._taken: Counter[str] = Counter()
        """Places by the name of the token."""
        self._lock = threading.Lock()

    def paint(self, draw: Callable[[], Figure], form: str, token: str) -> bytes:
        """Draw a figure in its turn, and return it as an image, `png` or `svg`.

        Args:
            draw: Makes the figure.
            form: Of the image.
            token: Name of the token that asks.

        Raises:
            ProblemError: 503, too many plots wait, in all or for this token.
        """
        with self._lock:
            if self._taken.total() >= PLACES or self._taken[token] >= PLACES_OF_A_TOKEN:
                raise ProblemError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{self._taken.total()} plots wait to be drawn, {self._taken[token]} of them for this token; "
                    f"{PLACES} and {PLACES_OF_A_TOKEN} may: try again in {RETRY_S} s",
                )
            self._taken[token] += 1
        try:
            return self._thread.submit(lambda: plots.render(draw(), form)).result()
        finally:
            with self._lock:
                self._taken[token] -= 1
                self._taken += Counter()  # drops tokens without places
