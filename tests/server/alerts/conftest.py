"""A webhook that listens."""

from collections.abc import Iterator

import pytest
from webhooks import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listen on a free loopback port."""
    listener = Listener()
    yield listener
    listener.close()
