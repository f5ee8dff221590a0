"""What the tests of the model contract share."""

from pathlib import Path

import pytest
from bundles import copy_bundle


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a copy of the default bundle, for a test to break."""
    return copy_bundle(tmp_path / "broken")
