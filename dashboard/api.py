"""A client of the REST API."""

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests

from common import own_services, urls

TIMEOUT_S = 5.0
META_S = 3600.0
"""How long `/meta` is kept; a new version of the server may bring new labels."""


class ApiError(Exception):
    """The REST API does not answer, or refuses a request; the text says which and why."""


class Api:
    """The REST API as a viewer sees it. Safe to use from several threads.

    Args:
        url: Where the API listens.
        token: A viewer's.
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, url: str, token: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._base = f"{url.rstrip('/')}/api/v1"
        self._place = urls.readable(self._base)
        """For people: `ApiError` is shown on the page."""
        self._token = token
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._meta: dict[str, Any] | None = None
        self._meta_until_s = 0.0

    def meta(self) -> dict[str, Any]:
        """Return emotions with names and colours, and the notice for users; kept for an hour, or until an outage."""
        with self._lock:
            if self._meta is None or self._clock_s() >= self._meta_until_s:
                self._meta = self._get("/meta")
                self._meta_until_s = self._clock_s() + META_S
            return self._meta

    def devices(self) -> list[dict[str, Any]]:
        """Return all devices."""
        found: list[dict[str, Any]] = []
        page = ""
        while True:
            answer = self._get("/devices", page_size="1000", page_token=page)
            found += answer["devices"]
            page = answer["next_page_token"]
            if not page:
                return found

    def device(self, mac: str, start_s: float, step_s: int) -> dict[str, Any]:
        """Return one device and its series since a Unix time, one point per step."""
        return self._get(f"/devices/{quote(mac)}", start=f"{start_s:.3f}", step=f"{step_s}s")

    def summary(self, mac: str, start_s: float) -> dict[str, Any]:
        """Return one device's means and histograms since a Unix time."""
        return self._get(f"/devices/{quote(mac)}/summary", start=f"{start_s:.3f}")

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        try:
            answer = own_services.get(self._base + path, self._token, params=query, timeout=TIMEOUT_S)
        except (requests.RequestException, ValueError) as error:  # ValueError: a URL that cannot be split
            self._meta = None  # another version may come back
            raise ApiError(f"The REST API at {self._place} does not answer.") from error
        try:
            body: dict[str, Any] = answer.json()
        except requests.JSONDecodeError as error:
            raise ApiError(f"{self._place} answers with status {answer.status_code} and no JSON.") from error
        if not answer.ok:
            raise ApiError(f"The REST API says: {body.get('detail') or answer.status_code}")
        return body
