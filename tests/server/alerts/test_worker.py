"""Rules are evaluated over what devices say, and alerts reach their webhook or topic once."""

import json
from pathlib import Path
from typing import Any

import pytest
from brokers import ACCOUNTS, RunningBroker
from patience import REPLY_S
from records import DAY_MS, DEVICE, reading, status
from rooms import Room
from services import RunningStore, wait_until
from webhooks import Webhook, rule

from server.alerts.notifiers import Webhooks
from server.alerts.rules import MINUTE_MS
from server.alerts.worker import Evaluator
from server.store.redis_store import RedisStore


@pytest.fixture
def store(redis_store: RunningStore) -> RedisStore:
    """Return an empty store, ready to be written."""
    store = RedisStore(redis_store.url, 90 * DAY_MS, 730 * DAY_MS)
    store.prepare()
    return store


def say(store: RedisStore, first: int, score: float, count: int = 5, at: int | None = None) -> None:
    """Have a kitchen device hear some readings with this score for anger."""
    when = store.now() if at is None else at
    scores = {"ANG": score, "HAP": 1 - score}
    store.write([(DEVICE, status()), *((DEVICE, reading(first + i, when, scores=scores)) for i in range(count))])


def test_a_webhook_is_notified_of_raise_and_clear(store: RedisStore, webhook: Webhook) -> None:
    """The mean over the rule's minutes raises once; when it falls below the lower threshold, it is cleared once."""
    evaluator = Evaluator(store, [rule(device="Kit*", webhook=webhook.url, cooldown_minutes=0)], Webhooks(), None)
    say(store, 0, 0.9)
    for _ in range(3):
        evaluator.evaluate_all()
        evaluator.webhooks.deliver()
    raised = webhook.posts.get(timeout=REPLY_S)
    assert (raised["rule"], raised["state"], raised["mac_address"]) == ("anger", "raised", "01:23:45:67:89:ab")
    assert (raised["name"], raised["label"], raised["mean"], raised["readings"]) == ("Kitchen", "ANG", 0.9, 5)
    say(store, 5, 0.1, count=15)
    for _ in range(3):
        evaluator.evaluate_all()
        evaluator.webhooks.deliver()
    cleared = webhook.posts.get(timeout=REPLY_S)
    assert (cleared["state"], cleared["mean"], cleared["readings"]) == ("cleared", 0.3, 20)
    assert webhook.posts.empty()


def test_only_the_rules_minutes_labels_and_devices_count(store: RedisStore, webhook: Webhook) -> None:
    """Older readings, other labels and other devices raise nothing, and too few readings neither."""
    rules = [
        rule(name="old", over_minutes=5, webhook=webhook.url),
        rule(name="label", label="SAD", webhook=webhook.url),
        rule(name="device", device="ff*", webhook=webhook.url),
        rule(name="few", over_minutes=60, least_readings=6, webhook=webhook.url),
        rule(name="hour", over_minutes=60, device="01:23:*", webhook=webhook.url),
    ]
    say(store, 0, 0.9, at=store.now() - 10 * MINUTE_MS)
    evaluator = Evaluator(store, rules, Webhooks(), None)
    evaluator.evaluate_all()
    evaluator.webhooks.deliver()
    assert webhook.posts.get(timeout=REPLY_S)["rule"] == "hour"
    assert webhook.posts.empty()


def test_an_erased_device_leaves_no_alert(store: RedisStore, redis_store: RunningStore, webhook: Webhook) -> None:
    """What is kept of an alert goes with its device."""
    evaluator = Evaluator(store, [rule(webhook=webhook.url)], Webhooks(), None)
    say(store, 0, 0.9)
    evaluator.evaluate_all()
    assert redis_store.client.hlen("mw:alerts") == 1
    store.erase(DEVICE)
    evaluator.evaluate_all()
    assert redis_store.client.exists("mw:alerts") == 0


def test_the_command_publishes_each_change_once(
    store: RedisStore, broker: RunningBroker, tmp_path: Path, redis_store: RunningStore
) -> None:
    """A rule with a topic is told over MQTT; after a restart what is raised already is not told again."""
    rules = tmp_path / "alerts.toml"
    text = '[[rule]]\nname = "anger"\nlabel = "ANG"\nabove = 0.6\nbelow = 0.4\nleast_readings = 3\n'
    rules.write_text(f'{text}topic = "moodwire/v1/alerts"\ncooldown_minutes = 0\n')
    settings = {
        "redis_url": redis_store.url,
        "mqtt_url": broker.url,
        "mqtt_username": "server",
        "mqtt_password": ACCOUNTS["server"],
        "rules": rules,
        "every_s": 1,
    }
    heard: list[dict[str, Any]] = []
    with broker.client("server", lambda _topic, payload: heard.append(json.loads(payload))) as client:
        client.subscribe("moodwire/v1/alerts", 1)
        say(store, 0, 0.9)
        with Room(tmp_path, "server", "alerts", **settings) as room:
            wait_until(lambda: heard, "the alert is raised")
            assert room.stop() == 0
        say(store, 5, 0.1, count=20)
        with Room(tmp_path, "server", "alerts", **settings):
            wait_until(lambda: len(heard) > 1, "the alert is cleared")
    assert [alert["state"] for alert in heard] == ["raised", "cleared"]
