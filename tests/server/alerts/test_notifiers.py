"""Webhooks are retried, given up in the end, and never redirected."""

from pathlib import Path

import pytest
from brokers import free_port
from patience import REPLY_S
from services import wait_until
from webhooks import Webhook

from server.alerts import notifiers
from server.alerts.notifiers import Publisher, Webhooks
from server.settings import ServerSettings


def test_a_failed_delivery_is_retried_and_given_up(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    """A failed try is repeated later, until the alert is given up; the log names the outage once, without the URL."""
    caplog.set_level("INFO")
    clock_s = [0.0]
    webhooks = Webhooks(lambda: clock_s[0])
    webhook.answers[:] = [500, 503]
    webhooks.post(webhook.url, b"{}")
    for now_s in (0, 1, 5.1, 6, 20):
        clock_s[0] = now_s
        webhooks.deliver()
    assert len(webhook.asked) == 3
    assert webhook.posts.get(timeout=REPLY_S) == {}
    webhooks.post("http://127.0.0.1:1/secret", b"{}")
    for _ in range(20):
        clock_s[0] += 1000
        webhooks.deliver()
    assert f"after {notifiers._TRIES} tries: [Errno 111] Connection refused" in caplog.messages[-1]
    assert ["accepts alerts again" in message for message in caplog.messages] == [False, True, False, False]
    assert "secret" not in caplog.text


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_no_redirect_is_followed(webhook: Webhook, code: int, tmp_path: Path) -> None:
    """A redirect is an answer that is not taken, to another address as to a file."""
    (tmp_path / "file").write_text("x")
    for location in (webhook.url + "/other", (tmp_path / "file").as_uri()):
        webhook.answers[:], webhook.location = [code], location
        webhooks = Webhooks(lambda: 0.0)
        webhooks.post(webhook.url, b"{}")
        webhooks.deliver()
    assert webhook.asked == [("POST", "/hook")] * 2


def test_a_broker_that_is_away_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the broker; what is published waits, and the retries are silent."""
    port = free_port()
    publisher = Publisher(ServerSettings(mqtt_url=f"mqtt://127.0.0.1:{port}"))
    publisher.publish("moodwire/v1/alerts", b"{}")
    wait_until(lambda: caplog.messages, "the outage is said")
    publisher.close()
    assert caplog.messages == [f"the broker at 127.0.0.1:{port} does not answer; retrying"]
