"""The networks of the cross-validation that are published, so that anybody can score them without training."""

import itertools
import tarfile
from pathlib import Path

import numpy as np
import pytest

from models import bundle
from models.runtime import softmax
from training import features, fit, learn, splits
from training import recipe as recipes
from training.splits import Fold

NETWORKS = Path(learn.__file__).parent / "networks"
SIX = recipes.load("six")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of run folders that the archive of the shipped model gives."""
    runs = tmp_path_factory.mktemp("runs")
    with tarfile.open(NETWORKS / f"{SIX.name}.tar.xz") as archive:
        archive.extractall(runs, filter="data")
    return runs / SIX.folder


def test_there_is_one_of_each_fold_and_the_shipped_one(unpacked: Path) -> None:
    """A training of the shipped recipe finds all its folds and its release finished, with three seeds."""
    folds = [Fold(block, seed) for block, seed in itertools.product(splits.BLOCKS, (1, 2, 3))]

    for fold in [*folds, Fold(0, SIX.seed, splits.RELEASE)]:
        assert fit.finished(unpacked / fold.folder)
    assert len(list(unpacked.iterdir())) == 13


@pytest.mark.parametrize("name", ["six", "ang-hap-neu"])
def test_the_last_of_them_is_what_is_shipped(unpacked: Path, name: str) -> None:
    """The network that heard every speaker gives the shipped file's answers, but for what rounding to int8 costs."""
    shipped = bundle.load(bundle.find(name))
    model = fit.load(SIX, unpacked / Fold(0, SIX.seed, splits.RELEASE).folder, shipped.manifest.labels)

    with np.load(shipped.golden_file) as golden:
        said = model.predict(features.normalised([golden["features"]]), verbose=0)[0]
        scores = golden["scores"]

    assert softmax(said / shipped.manifest.temperature) == pytest.approx(scores, abs=0.05)
