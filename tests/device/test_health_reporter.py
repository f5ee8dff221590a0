"""What a device reports of its health each minute."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from outboxes import BOOT, open_outbox
from services import wait_until

from broker.messages import BaselineHealth, Health
from device import health_reporter
from device.delivery.session import Session
from device.health_reporter import CaptureHealth, HealthReporter
from device.system.resources import Timings

LEARNING = BaselineHealth(strength=0.667, heard=40, wanted=200)


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mock]:
    """Return a session that notes what is published; reports come at once."""
    monkeypatch.setattr(health_reporter, "FIRST_S", 0.0)
    monkeypatch.setattr(health_reporter, "HEALTH_S", 0.01)
    return Mock(spec=Session, server="malformed")


def test_health_holds_capture_outbox_and_timings_until_it_is_stopped(tmp_path: Path, session: Mock) -> None:
    """Each report is made anew; a long name is cut to what the wire takes."""
    timings = Timings()
    timings.add(3.0)
    captures = iter([CaptureHealth("x" * 100, "ok", 0, 0)] + [CaptureHealth("USB", "missing", 7, 2)] * 10_000)
    reporter = HealthReporter(
        open_outbox(tmp_path), session, BOOT, timings, lambda: next(captures), lambda: LEARNING, tmp_path
    )

    reporter.start()
    wait_until(lambda: session.publish_health.call_count >= 2, "two reports are published")
    reporter.stop()
    count = session.publish_health.call_count

    first, second = (call.args[0] for call in session.publish_health.call_args_list[:2])
    assert isinstance(first, Health)
    assert (first.boot, first.source, first.capture, first.inference_p50_ms) == (BOOT, "x" * 64, "ok", 3.0)
    assert (second.capture, second.overruns, second.reopened, second.outbox_rows) == ("missing", 7, 2, 0)
    assert second.disk_free_bytes
    assert second.server == "malformed"
    assert second.baseline == LEARNING
    assert session.publish_health.call_count == count
