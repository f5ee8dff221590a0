"""A series has the means of the readings of each step."""

from records import DAY_MS, DEVICE, reading
from stores import write

from server.query.series import grid
from server.query.time_range import Range
from server.store.redis_store import RedisStore


def test_another_model_with_other_labels_is_another_schema(store: RedisStore) -> None:
    """Means over readings of two models take each label's own readings only."""
    now = store.now()
    write(store, reading(0, now, scores={"ANG": 1.0}), reading(1, now, scores={"ANG": 0.5, "SAD": 0.5}, model="other"))
    for step_ms in (1000, 60_000, 3_600_000, DAY_MS):
        means = grid(store, DEVICE, Range(now - 1000, now + 1), step_ms).means
        assert {label: mean.tolist() for label, mean in means.items()} == {"ANG": [0.75], "SAD": [0.5]}
