"""What the device's tests share."""

from collections.abc import Iterator

import pytest
from outboxes import OPEN


@pytest.fixture(autouse=True)
def close_outboxes() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    while OPEN:
        OPEN.pop().close()
