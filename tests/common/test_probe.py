"""A doctor's look at a broker, with messages in any order."""

from types import SimpleNamespace
from typing import Any

import pytest

from common import mqtt
from common.probe import Probe


def test_messages_are_found_in_any_order() -> None:
    """What comes before the message that is waited for is there later, in its order."""
    client: Any = mqtt.client("", "", None)
    probe = Probe(client, 0.1)
    for topic, payload in [("a", b"1"), ("b", b"2"), ("a", b"3")]:
        client.on_message(client, None, SimpleNamespace(topic=topic, payload=bytearray(payload)))

    assert [probe.message(topic) for topic in ("b", "a", "a", "c")] == [b"2", b"1", b"3", None]


def test_refused_topics_are_named_and_silence_is_an_error() -> None:
    """The broker answers a subscription topic by topic; one that does not answer in time raises."""
    client: Any = mqtt.client("", "", None)
    probe = Probe(client, 0.05)
    with pytest.raises(TimeoutError):
        probe.connected()
    client.on_subscribe(client, None, 1, [SimpleNamespace(is_failure=False), SimpleNamespace(is_failure=True)], None)

    assert probe.refused(["a", "b"]) == ["b"]
