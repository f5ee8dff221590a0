"""Takes alerts to whom they are for: to a webhook by HTTP POST, or to an MQTT topic."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from common import mqtt
from server import mqtt_endpoint
from server.settings import ServerSettings

log = logging.getLogger(__name__)

_ANSWER_S = 5.0
_FIRST_RETRY_S = 5.0
_TRIES = 8
"""The last one is about ten minutes behind the first."""
_MOST_WAITING = 1000


class _Waiting(NamedTuple):
    url: str
    body: bytes
    tries: int
    next_s: float


class Webhooks:
    """Alerts on their way to webhooks, oldest first; what is not taken is tried again, later each time.

    Args:
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._waiting: deque[_Waiting] = deque(maxlen=_MOST_WAITING)
        # Only these: no file:, ftp: or data: URL, no proxy of the environment, and no redirect, which would turn the
        # POST into a GET or lead to where the rule's author did not point.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def post(self, url: str, body: bytes) -> None:
        """Take a JSON body to a URL with the next `work`."""
        self._waiting.append(_Waiting(url, body, 0, self._clock_s()))

    def work(self) -> None:
        """Try once what is due; each takes five seconds or so at the most."""
        for _ in range(len(self._waiting)):
            one = self._waiting.popleft()
            if one.next_s > self._clock_s():
                self._waiting.append(one)
                continue
            problem = self._send(one)
            if problem is None:
                continue
            place = urlsplit(one.url).hostname  # the rest of the URL is often a secret
            if one.tries + 1 == _TRIES:
                log.error("an alert for the webhook at %s is given up: %s", place, problem)
                continue
            log.warning("the webhook at %s does not take an alert: %s; trying again", place, problem)
            again_s = self._clock_s() + _FIRST_RETRY_S * 2**one.tries
            self._waiting.append(one._replace(tries=one.tries + 1, next_s=again_s))

    def _send(self, one: _Waiting) -> str | None:
        """Return what is wrong, or None when it has been taken."""
        headers = {"Content-Type": "application/json", "User-Agent": "moodwire"}
        request = urllib.request.Request(one.url, one.body, headers, method="POST")  # noqa: S310 -- rules allow http(s) only
        try:
            self._opener.open(request, timeout=_ANSWER_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answers {error.code} {error.reason}"
        except urllib.error.URLError as error:
            return str(error.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return str(error) or type(error).__name__
        return None


class Publisher:
    """A connection to the broker that comes back by itself, and keeps what is to be published until then.

    Raises:
        UnusableError: the broker's URL or certificate is not usable.
    """

    def __init__(self, settings: ServerSettings) -> None:
        where = mqtt_endpoint.endpoint(settings)
        self._client = mqtt.client(settings.mqtt_username, settings.mqtt_password, mqtt_endpoint.tls(settings))
        self._client.max_queued_messages_set(_MOST_WAITING)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.connect_async(where.host, where.port)
        self._client.loop_start()

    def publish(self, topic: str, body: bytes) -> None:
        """Publish with QoS 1, not retained; if the broker is away, as soon as it is back."""
        self._client.publish(topic, body, qos=1)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("the broker refuses this account: %s; trying again", reason)

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("the connection to the broker is lost: %s; trying again", reason)
