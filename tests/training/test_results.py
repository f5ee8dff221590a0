"""Results are small files that outlive the run folders."""

import shutil
from pathlib import Path

import msgspec
import pytest
from training_results import LABELS, predictions, result

from models import bundle
from training import recipe, results, score
from training.results import ResultsError


def test_a_part_of_the_trainings_does_not_replace_all_of_them() -> None:
    """A split of which fewer trainings are found than are kept stays as it is; one of which all are found is new."""
    kept = result("one", (1, 2), 0.8)

    assert results.merged(kept, result("one", (2,), 0.7)).scores["speakers"].uar == pytest.approx(0.8)
    assert results.merged(kept, result("one", (1, 2, 3), 0.7)).scores["speakers"].uar == pytest.approx(0.7)
    assert set(results.merged(kept, result("one", (1,), 0.9, "leaky")).scores) == {"speakers", "leaky"}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Numbers are kept with five decimals, and nothing is lost."""
    written = result("one", (1,), 2 / 3)

    results.write(tmp_path, "one", written)

    (found,) = results.read(tmp_path).values()
    assert found.scores["speakers"].uar == 0.66667
    assert found.scores["speakers"].trainings[0].listeners == written.scores["speakers"].trainings[0].listeners
    assert found.recipe is not None
    assert found.recipe["labels"] == list(LABELS)


def test_a_run_without_its_config_is_named(tmp_path: Path) -> None:
    """A run folder whose config.json is not there, or holds no recipe, is one sentence."""
    with pytest.raises(ResultsError, match=r"config.json holds no recipe: .*; train again"):
        results.read_recipe(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"config.json holds no recipe: 'recipe'; train again"):
        results.read_recipe(tmp_path / "config.json")


def finished(place: Path, recipe_sha256: str) -> None:
    """Make a run folder of the shipped bundle, as if that recipe had made it."""
    shutil.copytree(bundle.find(bundle.DEFAULT), place)
    manifest = bundle.load(place).manifest
    bundle.write_manifest(place, msgspec.structs.replace(manifest, recipe_sha256=recipe_sha256))
    (place / "config.json").write_bytes(msgspec.json.encode({"recipe": recipe.load("tiny")}))
    score.save(place, predictions(8, 2))


def test_a_run_folder_is_summed_up(tmp_path: Path) -> None:
    """Each split's trainings are counted together; the work of a window is read from the model's file."""
    finished(tmp_path / "block-4-seed-1", "0" * 64)
    finished(tmp_path / "leaky-4-seed-1", "0" * 64)

    found = results.read_runs(tmp_path)

    assert found is not None
    assert {split: len(score.trainings) for split, score in found.scores.items()} == {"speakers": 1, "leaky": 1}
    assert found.scores["speakers"].trainings[0].minutes is None
    assert found.multiply_adds == 12_121_200
    assert results.read_runs(tmp_path / "block-4-seed-1") is None


def test_trainings_of_two_recipes_in_one_folder_are_refused(tmp_path: Path) -> None:
    """A run folder that was moved among those of another recipe is not counted with them."""
    finished(tmp_path / "block-1-seed-1", "0" * 64)
    finished(tmp_path / "block-2-seed-1", "1" * 64)

    with pytest.raises(ResultsError, match="holds trainings of different recipes"):
        results.read_runs(tmp_path)


def test_shipped_results_can_be_read() -> None:
    """What lies in training/results is what this version reads."""
    folder = results.LATENCY.parent

    found = results.read(folder)

    assert all(score.trainings for one in found.values() for score in one.scores.values())
    assert all(latency.ms > 0 for latency in results.read_latencies(folder).values())
