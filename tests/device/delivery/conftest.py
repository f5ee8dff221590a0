"""What the tests of delivery share."""

from pathlib import Path

import pytest
from outboxes import open_outbox

from device.delivery.outbox import Outbox


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    """Return an empty outbox."""
    return open_outbox(tmp_path)
