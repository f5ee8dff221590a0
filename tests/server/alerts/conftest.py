"""A webhook that listens."""

from collections.abc import Iterator

import pytest
from webhooks import Webhook


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """Listen on a free loopback port."""
    webhook = Webhook()
    yield webhook
    webhook.close()
