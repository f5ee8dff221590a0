"""What the tests of sound share."""

from pathlib import Path

import pytest
from alsa_tree import AlsaTree


@pytest.fixture
def tree(tmp_path: Path) -> AlsaTree:
    """Return a machine without sound cards."""
    return AlsaTree.make(tmp_path)
