"""Ingest over TLS, with a real Mosquitto: many messages at once, and a broker that is not trusted."""

from pathlib import Path

import pytest
from brokers import DEVICE, Tls, running_broker
from certificates import Authority
from records import reading
from rooms import ingest
from services import RunningStore, wait_until

from broker import topics
from broker.messages import encode, join
from server.store.redis_store import RedisStore

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return who signs the broker's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"), "Authority of the tests")


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_readings_go_through_tls(redis_store: RunningStore, authority: Authority, version: str, tmp_path: Path) -> None:
    """What comes while ingest is away, more than one record of TLS, is stored whole as soon as it is back."""
    store = RedisStore(redis_store.url, 90 * DAY_MS, 730 * DAY_MS)
    now = store.now()
    with running_broker(
        tmp_path / "broker", tls=Tls(authority.certificate, *authority.issue("broker"), None)
    ) as broker:
        trust = {"mqtt_ca_file": authority.certificate, "mqtt_version": version}
        with ingest(tmp_path, broker, redis_store, **trust) as room, broker.client(DEVICE) as client:
            room.says("the server is online")
            room.kill()
            for first in range(0, 3_000, 100):
                parts = [encode(reading(seq, now - seq)) for seq in range(first, first + 100)]
                sent = client.publish(topics.topic(DEVICE, "reading"), join(parts), qos=1)
            wait_until(sent.is_published, "the broker has all")
            room.start()
            wait_until(lambda: store.boots(DEVICE) and store.boots(DEVICE)[0].records == 3_000, "all are stored")


def test_a_broker_that_is_not_trusted_gets_nothing(
    redis_store: RunningStore, authority: Authority, tmp_path: Path
) -> None:
    """With another authority ingest says so, tries again, and does not log in."""
    other = Authority(tmp_path / "other", "Another authority")
    with (
        running_broker(tmp_path / "broker", tls=Tls(authority.certificate, *authority.issue("broker"), None)) as broker,
        ingest(tmp_path, broker, redis_store, mqtt_ca_file=other.certificate) as room,
    ):
        room.says("certificate verify failed")
        assert "connected" not in room.log
        assert "Traceback" not in room.log
        assert room.stop() == 0
