"""The trial of latencies takes published systems with the features that they hear."""

import numpy as np
import pytest

from models.runtime import synthetic_clip
from training import recipe
from trials import model_latency

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "classes"), [("published-c-tree", 16), ("published-c-gru", 16), ("published-d", 7)])
def test_a_published_system_is_timed_with_its_features(name: str, classes: int) -> None:
    """From three seconds of a microphone's samples it gives a score for each class."""
    classify = model_latency.published(recipe.load(name))

    assert np.shape(classify(synthetic_clip(48_000))) == (1, classes)
