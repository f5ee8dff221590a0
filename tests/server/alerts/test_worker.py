"""An alert is raised and cleared once each, comes not too often, and reaches its webhook or topic."""

import itertools
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from brokers import ACCOUNTS, RunningBroker
from hypothesis import given
from hypothesis import strategies as st
from records import DAY_MS, DEVICE, reading, status
from rooms import Room
from services import RunningStore, wait_until

from server.alerts import notifiers
from server.alerts.notifiers import Webhooks
from server.alerts.rules import MINUTE_MS, Measured, Rule, State, load, step
from server.alerts.worker import Watch
from server.errors import UnusableError
from server.store.redis_store import RedisStore


class Listener:
    """A local HTTP server that keeps what is posted and answers as it is told."""

    def __init__(self) -> None:
        self.posts: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.asked: list[tuple[str, str]] = []
        self.answers: list[int] = []
        self.location = ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append((self.command, self.path))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = outer.answers.pop(0) if outer.answers else 204
                if code == 204:
                    outer.posts.put(json.loads(body))
                self.send_response(code)
                self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 -- the name is the standard library's

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listen on a free loopback port."""
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def store(redis_store: RunningStore) -> RedisStore:
    """Return an empty store, ready to be written."""
    store = RedisStore(redis_store.url, 90 * DAY_MS, 730 * DAY_MS)
    store.prepare()
    return store


def rule(**changes: Any) -> Rule:
    """Return a rule about anger but for the changes."""
    fields = {"name": "anger", "label": "ANG", "above": 0.6, "below": 0.4, "least_readings": 3}
    return Rule(**(fields | changes))


def say(store: RedisStore, first: int, score: float, count: int = 5, at: int | None = None) -> None:
    """Have a kitchen device hear some readings with this score for anger."""
    when = store.now() if at is None else at
    scores = {"ANG": score, "HAP": 1 - score}
    store.write([(DEVICE, status()), *((DEVICE, reading(first + i, when, scores=scores)) for i in range(count))])


MEASURED = st.builds(Measured, st.floats(0, 1), st.integers(0, 6))
LOOKS = st.lists(st.tuples(st.integers(0, 40 * MINUTE_MS), MEASURED), max_size=60)


@given(LOOKS, st.floats(0.2, 1), st.floats(0.01, 0.2), st.integers(0, 60))
def test_alerts_alternate_and_come_not_too_often(
    looks: list[tuple[int, Measured]], above: float, distance: float, cooldown: int
) -> None:
    """Raised and cleared take turns, each for its reason, and the cooldown lies between two that are raised."""
    one = rule(above=above, below=above - distance, cooldown_minutes=cooldown)
    state, now, told = State(), 0, []
    for pause, measured in looks:
        now += pause
        state, change = step(one, state, now, measured)
        assert state.raised == (bool(told or change) and (change or told[-1][1]) == "raised")
        if change == "raised":
            assert measured.mean >= one.above
            assert measured.readings >= one.least_readings
        if change == "cleared":
            assert measured.mean < one.below or measured.readings == 0
        if change:
            told.append((now, change))
    assert [change for _, change in told] == ["raised", "cleared"] * (len(told) // 2) + ["raised"] * (len(told) % 2)
    raised = [at for at, change in told if change == "raised"]
    assert all(later - earlier >= cooldown * MINUTE_MS for earlier, later in itertools.pairwise(raised))


@given(LOOKS)
def test_between_the_thresholds_nothing_changes(looks: list[tuple[int, Measured]]) -> None:
    """A mean that moves between both thresholds neither raises nor clears, whatever was before."""
    one = rule(above=0.6, below=0.4)
    for state in (State(), State(raised=True, raised_at=0)):
        for now, measured in looks:
            between = Measured(0.4 + 0.1999 * measured.mean, measured.readings + 1)
            assert step(one, state, now, between) == (state, None)


def test_an_alert_outlasts_its_cooldown_and_is_raised_when_it_ends() -> None:
    """What is still above behind the cooldown is raised at the first look after it."""
    one = rule(cooldown_minutes=10)
    state = State(raised=False, raised_at=0)
    assert step(one, state, 10 * MINUTE_MS - 1, Measured(0.9, 9))[1] is None
    assert step(one, state, 10 * MINUTE_MS, Measured(0.9, 9))[1] == "raised"


def test_a_webhook_hears_of_the_raise_and_of_the_end(store: RedisStore, listener: Listener) -> None:
    """The mean over the rule's minutes raises once; when it falls below the lower threshold, it is cleared once."""
    watch = Watch(store, [rule(device="Kit*", webhook=listener.url, cooldown_minutes=0)], Webhooks(), None)
    say(store, 0, 0.9)
    for _ in range(3):
        watch.look()
        watch.webhooks.work()
    raised = listener.posts.get(timeout=10)
    assert (raised["rule"], raised["state"], raised["mac_address"]) == ("anger", "raised", "01:23:45:67:89:ab")
    assert (raised["name"], raised["label"], raised["mean"], raised["readings"]) == ("Kitchen", "ANG", 0.9, 5)
    say(store, 5, 0.1, count=15)
    for _ in range(3):
        watch.look()
        watch.webhooks.work()
    cleared = listener.posts.get(timeout=10)
    assert (cleared["state"], cleared["mean"], cleared["readings"]) == ("cleared", 0.3, 20)
    assert listener.posts.empty()


def test_only_the_rules_minutes_labels_and_devices_count(store: RedisStore, listener: Listener) -> None:
    """Older readings, other labels and other devices raise nothing, and too few readings neither."""
    rules = [
        rule(name="old", over_minutes=5, webhook=listener.url),
        rule(name="label", label="SAD", webhook=listener.url),
        rule(name="device", device="ff*", webhook=listener.url),
        rule(name="few", over_minutes=60, least_readings=6, webhook=listener.url),
        rule(name="hour", over_minutes=60, device="01:23:*", webhook=listener.url),
    ]
    say(store, 0, 0.9, at=store.now() - 10 * MINUTE_MS)
    watch = Watch(store, rules, Webhooks(), None)
    watch.look()
    watch.webhooks.work()
    assert listener.posts.get(timeout=10)["rule"] == "hour"
    assert listener.posts.empty()


def test_an_erased_device_leaves_no_alert(store: RedisStore, redis_store: RunningStore, listener: Listener) -> None:
    """What is kept of an alert goes with its device."""
    watch = Watch(store, [rule(webhook=listener.url)], Webhooks(), None)
    say(store, 0, 0.9)
    watch.look()
    assert redis_store.client.hlen("mw:alerts") == 1
    store.erase(DEVICE)
    watch.look()
    assert redis_store.client.exists("mw:alerts") == 0


def test_what_a_webhook_does_not_take_is_tried_again(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the listener is answered with another try, later; at some time it is given up, with a line."""
    clock_s = [0.0]
    webhooks = Webhooks(lambda: clock_s[0])
    listener.answers[:] = [500, 503]
    webhooks.post(listener.url, b"{}")
    for now_s in (0, 1, 5.1, 6, 20):
        clock_s[0] = now_s
        webhooks.work()
    assert len(listener.asked) == 3
    assert listener.posts.get(timeout=10) == {}
    webhooks.post("http://127.0.0.1:1/secret", b"{}")
    for _ in range(20):
        clock_s[0] += 1000
        webhooks.work()
    assert "given up: [Errno 111] Connection refused" in caplog.messages[-1]
    assert len(caplog.messages) == 2 + notifiers._TRIES
    assert "secret" not in caplog.text


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_no_redirect_is_followed(listener: Listener, code: int, tmp_path: Path) -> None:
    """A redirect is an answer that is not taken, to another address as to a file."""
    (tmp_path / "file").write_text("x")
    for location in (listener.url + "/other", (tmp_path / "file").as_uri()):
        listener.answers[:], listener.location = [code], location
        webhooks = Webhooks(lambda: 0.0)
        webhooks.post(listener.url, b"{}")
        webhooks.work()
    assert listener.asked == [("POST", "/hook")] * 2


def test_the_command_publishes_and_raises_nothing_twice(
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


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "missing required field `rule`"),
        ("rule = [", "is not right"),
        (
            '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 2\nbelow = 0.1\n',
            r"Expected `float` <= 1.* `\$.rule\[0\].above`",
        ),
        (
            '[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\n',
            "'a' is not right: either webhook or topic",
        ),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.6\ntopic = "t"\n', "a lower below is right"),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\ntopic = "t/#"\n', "no \\+ and #"),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\nwebhook = "file:///etc"\n', "is no http://"),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\ntopics = "t"\n', "unknown field `topics`"),
        ('[[rule]]\nname = "a"\nlabel = "ANG"\nabove = 0.5\nbelow = 0.1\ntopic = "t"\n' * 2, "has the same name"),
    ],
)
def test_rules_that_are_not_right_are_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    """A file that cannot be used is refused with the rule and what would be right."""
    file = tmp_path / "alerts.toml"
    file.write_text(text)
    with pytest.raises(UnusableError, match=sentence):
        load(file)


def test_the_rules_of_the_guide_are_right(tmp_path: Path) -> None:
    """The example in docs/operations.md can be used as it stands."""
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    file = tmp_path / "alerts.toml"
    file.write_text(guide.partition("```toml\n")[2].partition("```")[0])
    assert [one.name for one in load(file)] == ["anger in the kitchen", "joy"]
