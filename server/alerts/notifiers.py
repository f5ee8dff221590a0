"""Deliver alerts: to a webhook by HTTP POST, or to an MQTT topic."""

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
from common.backoff import Backoff
from common.outage import Outage
from server import mqtt_endpoint
from server.settings import ServerSettings

log = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
_FIRST_RETRY_S = 5.0
_LONGEST_RETRY_S = 600.0
_TRIES = 8
"""The last one is five to ten minutes after the first."""
_QUEUE_LENGTH = 1000
"""Alerts that wait; the oldest are dropped."""


class _Delivery(NamedTuple):
    """An alert on its way to a webhook."""

    url: str
    body: bytes
    tries_left: int
    due_s: float
    backoff: Backoff


class Webhooks:
    """Alerts on their way to webhooks, oldest first; one that fails is retried with backoff.

    Args:
        clock_s: Tells the time; seconds of any start.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._queue: deque[_Delivery] = deque(maxlen=_QUEUE_LENGTH)
        self._outages: dict[str, Outage] = {}
        """By URL."""
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
        """Queue a JSON body for a URL; `deliver` sends it."""
        backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._queue.append(_Delivery(url, body, _TRIES, self._clock_s(), backoff))

    def deliver(self) -> None:
        """Send once what is due; each takes about five seconds at most."""
        for _ in range(len(self._queue)):
            delivery = self._queue.popleft()
            if delivery.due_s > self._clock_s():
                self._queue.append(delivery)
                continue
            problem = self._send(delivery)
            host = urlsplit(delivery.url).hostname  # the rest of the URL is often a secret
            outage = self._outages.setdefault(delivery.url, Outage(log))
            if problem is None:
                outage.end("the webhook at %s accepts alerts again", host)
                continue
            outage.begin("the webhook at %s does not accept an alert: %s; retrying", host, problem)
            if delivery.tries_left == 1:
                log.error("gave up an alert for the webhook at %s after %d tries: %s", host, _TRIES, problem)
                continue
            due_s = self._clock_s() + delivery.backoff.next_s()
            self._queue.append(delivery._replace(tries_left=delivery.tries_left - 1, due_s=due_s))

    def _send(self, delivery: _Delivery) -> str | None:
        """Return what went wrong, or None for success."""
        headers = {"Content-Type": "application/json", "User-Agent": "moodwire"}
        request = urllib.request.Request(delivery.url, delivery.body, headers, method="POST")  # noqa: S310 -- rules allow http(s) only
        try:
            self._opener.open(request, timeout=_TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            return f"it answers {error.code} {http.client.responses.get(error.code, '')}".strip()
        except urllib.error.URLError as error:
            return str(error.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return str(error) or type(error).__name__
        return None


class Publisher:
    """A connection to the broker that reconnects by itself, and queues messages until then.

    Raises:
        UnusableError: the broker's URL or certificate cannot be used.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._endpoint = mqtt_endpoint.endpoint(settings)
        self._outage = Outage(log)
        self._client = mqtt.client(settings.mqtt_username, settings.mqtt_password, mqtt_endpoint.tls(settings))
        self._client.max_queued_messages_set(_QUEUE_LENGTH)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.connect_async(self._endpoint.host, self._endpoint.port)
        self._client.loop_start()

    def publish(self, topic: str, body: bytes) -> None:
        """Publish with QoS 1, not retained; while the broker is away, as soon as it is back."""
        self._client.publish(topic, body, qos=1)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._outage.begin("%s refuses this account: %s; retrying", self._endpoint, reason)
        else:
            self._outage.end("connected to %s again", self._endpoint)

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        self._outage.begin("%s does not answer; retrying", self._endpoint)

    def _on_disconnect(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._outage.begin("lost the connection to %s: %s; retrying", self._endpoint, reason)
