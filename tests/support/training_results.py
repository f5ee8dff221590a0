"""Made-up training results, for the tests of the report."""

from collections.abc import Sequence

import msgspec
import numpy as np

from training import recipe, results
from training.results import Result, Training
from training.score import Predictions

LABELS = ("ANG", "HAP", "NEU")


def predictions(right: int, wrong: int) -> Predictions:
    """Return predictions with this many right and this many wrong for each label."""
    truth = np.repeat(np.arange(3), right + wrong)
    said = np.where(np.tile(np.arange(right + wrong) < right, 3), truth, (truth + 1) % 3)
    count = len(truth)
    words = {name: np.array(["A", "B"] * count)[:count] for name in ("sexes", "ages", "intensities", "sentences")}
    return Predictions(
        scores=np.eye(3)[said] * 0.7 + 0.1,
        truth=truth,
        speakers=np.arange(count) % 4,
        backgrounds=np.full(count, "own"),
        **words,
    )


def training(block: int, uar: float, seed: int = 1) -> Training:
    """Return a training with the fields that the report needs."""
    heard = {"votes": 100, "accuracy": 0.66, "uar": 0.6 + block / 100, "recall": {}}
    return Training(
        block=block,
        seed=seed,
        uar=uar,
        accuracy=uar,
        speakers=54,
        minutes=3.0,
        float_uar=uar,
        uar_in_noise={"pink-20": uar - 0.1},
        listeners=heard,
    )


def result(
    name: str,
    blocks: Sequence[int] = (1, 2),
    uar: float = 0.8,
    split: str = "speakers",
    labels: tuple[str, ...] = LABELS,
) -> Result:
    """Return a result of a recipe on some blocks."""
    found = results.summary([training(block, uar) for block in blocks], [predictions(8, 2) for _ in blocks], labels)
    told = msgspec.to_builtins(recipe.load("tiny")) | {"name": name}
    return Result(name=name, labels=labels, recipe=told, scores={split: found}, parameters=1_234, bytes_deflated=2_048)
