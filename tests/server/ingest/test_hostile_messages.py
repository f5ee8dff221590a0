"""What nobody should send, among good readings: each is counted and said, and none harms ingest, store or neighbour."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from brokers import DEVICE, OTHER_DEVICE, RunningBroker
from records import BOOT, DAY_MS, heard, reading, status
from rooms import ingest
from services import RunningStore, wait_until

from broker import embedded, topics
from broker.messages import MAX_SEQ, Stored, decode, encode
from server.store.redis_store import RedisStore

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000


class Hostile(NamedTuple):
    """A message that must not be stored."""

    topic: str
    payload: bytes
    reason: str
    """Words of the log's line about it."""


def _bad(at: int) -> Iterator[Hostile]:
    """Yield messages on topics that ingest hears; those that can be named have sequence numbers from 500 on."""
    own = topics.topic(DEVICE, "reading")
    good = json.loads(encode(reading(500, at)))

    def changed(**fields: Any) -> bytes:
        return json.dumps(good | fields).encode()

    for payload, reason in (
        (b"", "truncated"),
        (b"no JSON at all \xff", "malformed"),
        (b'{"v":1,', "truncated"),
        (encode(reading(0, at)).decode().encode("utf-16"), "malformed"),
        (b"\x00" * 64, "malformed"),
        (b"null", "Expected `object`, got `null`"),
        (b'[[{"v":1}]]', "Expected `object`, got `array`"),
        (b"[" + b",".join([changed()] * 101) + b"]", "length <= 100"),
        # too large, too deep
        (changed(model="x" * MEGABYTE), "65536 are allowed"),
        (b" " * MEGABYTE, "1000000 bytes; 65536 are allowed"),
        (b"[" * 60_000, "recursion"),
        (b'{"x":' * 10_000 + b"1" + b"}" * 10_000, "recursion"),
        (changed()[:-1] + b',"extra":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion"),
        # no numbers
        (changed(level_dbfs=float("nan")), "invalid character"),
        (changed(scores={"ANG": float("inf")}), "invalid character"),
        (changed().replace(b"-23.0", b"-1e999"), "out of range"),
        (changed().replace(b'"seq": 500', b'"seq": ' + b"9" * 5000), "out of range"),
        # wrong types and values
        (changed(seq="500"), "Expected `int`, got `str` - at `$.seq`"),
        (changed(seq=True), "Expected `int`, got `bool` - at `$.seq`"),
        (changed(seq=-1), "`int` >= 0 - at `$.seq`"),
        (changed(seq=MAX_SEQ + 1), "- at `$.seq`"),
        (changed(boot="kitchen"), "- at `$.boot`"),
        (changed(boot=BOOT + "\n"), "- at `$.boot`"),
        (changed(v=2), "- at `$.v`"),
        (changed(at=-1), "- at `$.at`"),
        (changed(gen=2**60), "`int` <= 281474976710656 - at `$.gen`"),
        (changed(span_ms=0), "- at `$.span_ms`"),
        (changed(state="asleep"), "'asleep' - at `$.state`"),
        (changed(scores=[0.7, 0.2, 0.1]), "Expected `object`, got `array` - at `$.scores`"),
        (changed(scores={}), "- at `$.scores`"),
        (changed(scores={"ANG": 1.5}), "<= 1.0 - at `$.scores"),
        (changed(scores={"ANG\n": 0.5}), "`$.scores`"),
        (changed(scores={"": 0.5}), "`$.scores`"),
        (changed(level_dbfs=None), "got `null` - at `$.level_dbfs`"),
        (changed(model="\ud800"), "surrogate"),
        (json.dumps({name: value for name, value in good.items() if name != "at"}).encode(), "required field `at`"),
    ):
        yield Hostile(own, payload, reason)
    # one kind on the topic of another
    yield Hostile(topics.topic(DEVICE, "heard"), encode(reading(501, at)), "required field `windows`")
    yield Hostile(own, encode(heard(502, at)), "required field `state`")
    yield Hostile(topics.topic(DEVICE, "status"), encode(reading(503, at)), "'speech' - at `$.state`")
    yield Hostile(topics.topic(DEVICE, "health"), encode(status()), "required field `inference_p50_ms`")
    yield Hostile(f"{topics.ROOT}/{DEVICE}/cmd/pause/response", b"[]", "Expected `object`, got `array`")
    # devices that are none
    for name in ("kitchen", "", DEVICE.upper(), topics.mac_address(DEVICE), "server"):
        yield Hostile(f"{topics.ROOT}/{name}/reading", encode(reading(504, at)), f"/{name}/reading' names no device")


def _unheard(at: int) -> Iterator[tuple[str, bytes]]:
    """Yield what a device may not publish: the broker takes it, and gives it to nobody."""
    for topic in (topics.topic(OTHER_DEVICE, "reading"), topics.topic(OTHER_DEVICE, "status"), topics.SERVER_STATUS):
        yield topic, encode(status() if topic.endswith("status") else reading(505, at))
    for kind in ("readings", "reading/1", "stored", "generation", "cmd/pause"):
        yield f"{topics.ROOT}/{DEVICE}/{kind}", encode(reading(506, at))


@pytest.fixture
def lax_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run Mosquitto without our limit on the size of messages, so that ingest has to bear them."""
    broker = RunningBroker(tmp_path / "lax", "mosquitto")
    broker.stop()
    path = tmp_path / "lax" / "mosquitto.conf"
    path.write_text(path.read_text().replace("max_packet_size 70000", ""))
    broker.start()
    yield broker
    broker.stop()


def test_good_readings_are_kept_among_everything_that_nobody_should_send(
    lax_broker: RunningBroker, redis_store: RunningStore, tmp_path: Path
) -> None:
    """Every good reading is confirmed and read back, every bad message is counted and said, and ingest goes on."""
    store = RedisStore(redis_store.url, 90 * DAY_MS, 730 * DAY_MS)
    now = store.now()
    bad = list(_bad(now))
    answers: list[bytes] = []
    with contextlib.ExitStack() as stack:
        room = stack.enter_context(ingest(tmp_path, lax_broker, redis_store))
        room.says("the server is online")
        for topic, payload in _unheard(now):
            with lax_broker.client(DEVICE) as intruder:  # one each, since Mosquitto may close its connection
                wait_until(intruder.publish(topic, payload, qos=1).is_published, "the broker has taken it")
        sender = stack.enter_context(lax_broker.client(DEVICE, lambda _, payload: answers.append(payload)))
        stranger = stack.enter_context(lax_broker.client(embedded.SERVER_ACCOUNT))
        sender.subscribe(topics.topic(DEVICE, "stored"), 1)
        for number, message in enumerate(bad):
            may = message.topic.startswith(f"{topics.ROOT}/{DEVICE}/")
            (sender if may else stranger).publish(message.topic, message.payload, qos=1)
            sender.publish(topics.topic(DEVICE, "reading"), encode(reading(number, now - number)), qos=1)
        sender.publish(topics.topic(DEVICE, "reading"), encode(reading(len(bad), now)), qos=1)
        good = set(range(len(bad) + 1))
        wait_until(lambda: _confirmed(answers) == good, "all good ones are confirmed")
        room.says(f"dropped number {len(bad)} on ")
        lines = [line for line in room.log.splitlines() if "dropped number" in line]
        assert len(lines) == len(bad)
        for message in bad:
            words = f" on {message.topic}: "
            assert any(words in line and message.reason in line for line in lines), (message.topic, message.reason)
        assert max(map(len, lines)) < 400, "a line of the log is short, however long the message was"
        assert "Traceback" not in room.log
        assert room.stop() == 0
    assert [device.id for device in store.devices("", 10)] == [DEVICE]
    assert [(boot.records, boot.missing) for boot in store.boots(DEVICE)] == [(len(good), 0)]
    assert sum(table.at.size for table in store.readings(DEVICE, now - DAY_MS, now + 1)) == len(good)
    store.close()


def _confirmed(answers: list[bytes]) -> set[int]:
    """Return the sequence numbers that the server has called stored."""
    spans = [span for answer in list(answers) for span in decode(answer, Stored).stored]
    return {seq for first, last in spans for seq in range(first, last + 1)}
