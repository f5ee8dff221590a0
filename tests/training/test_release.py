"""A release is trained on every speaker, and scored by the folds of its recipe."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from miniature import CrossValidated

from models import bundle
from models.runtime import load_verified
from training import recipe
from training.commands import evaluate, train
from training.release import cross_validation
from training.settings import EvaluateSettings, TrainSettings
from training.splits import Fold

pytestmark = pytest.mark.slow


def test_a_release_is_taught_by_everyone(
    cross_validated: CrossValidated, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The model that is shipped hears all speakers, and its figures are those of the folds' models, which did not.

    A second call trains nothing.
    """
    settings = cross_validated.settings
    release = TrainSettings("tiny", settings.recordings_dir, settings.runs_dir, tmp_path / "shipped", release=True)

    assert train(release) == 0

    made = load_verified(tmp_path / "shipped").bundle
    measured = made.manifest.measured
    runs = next(settings.runs_dir.glob("tiny-0-*"))
    folds = [bundle.load(folder).manifest for folder in sorted(runs.glob("block-*"))]
    assert measured["speakers"]["train"] == [1001, 1002, 1019, 1020, 1037, 1038, 1055, 1056]
    assert measured["clips"] == {"train": 24, "test": 0}
    assert len(measured["uar_by_speaker"]) == 8
    assert measured["uar"] == pytest.approx(np.mean([fold.measured["uar"] for fold in folds]))
    assert made.manifest.temperature == pytest.approx(np.mean([fold.temperature for fold in folds]), abs=1e-4)
    assert "Results of the recipe on speakers that its models never heard" in (made.folder / "CARD.md").read_text()

    capfd.readouterr()
    assert evaluate(EvaluateSettings(str(made.folder), settings.recordings_dir)) == 2
    assert "there is none that it never heard" in capfd.readouterr().err

    assert train(release) == 0
    assert "epoch" not in capfd.readouterr().out
    assert bundle.load(made.folder).manifest == made.manifest


def test_a_cross_validation_is_the_mean_over_seeds_then_blocks() -> None:
    """Two seeds of a block count as one; the deviation is that of the four blocks."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    uars = {1: (0.6, 0.8), 2: (0.7, 0.9), 3: (0.8, 0.8), 4: (0.9, 0.9)}
    done = {
        Fold(block, seed): msgspec.structs.replace(
            manifest, measured={"uar": uar, "float_uar": uar + 0.01, "accuracy": uar - 0.01}
        )
        for block, pair in uars.items()
        for seed, uar in enumerate(pair)
    }

    found = cross_validation(done, recipe.load("tiny"))

    assert found["uar"] == pytest.approx(0.8)
    assert found["uar_deviation"] == pytest.approx(np.std([0.7, 0.8, 0.8, 0.9], ddof=1))
    assert (found["float_uar"], found["accuracy"]) == (pytest.approx(0.81), pytest.approx(0.79))
    assert found["folds"][1]["uar_of_seeds"] == [0.7, 0.9]
    assert [fold["speakers"] for fold in found["folds"]] == ["1001-1018", "1019-1036", "1037-1054", "1055-1072"]
