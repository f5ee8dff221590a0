"""The page of results is made from small files that outlive the run folders."""

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models import bundle
from models.bundle import BundleError
from training import recipe, results, score
from training.report import report
from training.results import Latency, Result, ResultsError, Training
from training.score import Predictions
from training.settings import ReportSettings

LABELS = ("ANG", "HAP", "NEU")


def predictions(right: int, wrong: int) -> Predictions:
    """Return predictions: for each label this many right and this many wrong."""
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
    """Return a training with what the report needs of it."""
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


@pytest.fixture
def settings(tmp_path: Path) -> ReportSettings:
    """Return settings of a place without run folders."""
    return ReportSettings(tmp_path / "runs", tmp_path / "results", tmp_path / "RESULTS.md")


def cells(page: Path, system: str) -> dict[str, str]:
    """Return a system's rows of the tables of worth and of cost by the names of their columns."""
    found: dict[str, str] = {}
    head = ""
    for before, line in pairwise(page.read_text().splitlines()):
        head = before if line.startswith("| ---") else head
        if head.startswith("| system") and line.startswith(f"| {system} |"):
            rows = ([cell.strip() for cell in row.split("|")[1:-1]] for row in (head, line))
            found |= dict(zip(*rows, strict=True))
    return found


def test_page_is_made_of_the_kept_results_alone(settings: ReportSettings, tmp_path: Path) -> None:
    """Rows, listeners, plots and noise come from the files; a latency from its own file."""
    both = result("good", (2, 4), 0.8)
    leaky = result("good", (1,), 0.9, "leaky").scores
    results.write(settings.results_dir, "good", msgspec.structs.replace(both, scores={**both.scores, **leaky}))
    results.write(settings.results_dir, "bad", result("bad", (4,), 0.5))
    latencies = {"good": Latency(ms=1.5, of_published=0.25)}
    (settings.results_dir / "latency.json").write_bytes(msgspec.json.encode(latencies))

    assert report(settings) == 0

    row = cells(settings.out, "good")
    assert (row["blocks"], row["taught by"], row["UAR"], row["leaky"]) == ("2 4", "54", "80.0% ± 0.0%", "90.0%")
    assert (row["parameters"], row["compressed"], row["ms"], row["of the published"]) == (
        "1,234",
        "2,048",
        "1.50",
        "0.25",
    )
    assert (cells(settings.out, "bad")["UAR"], cells(settings.out, "bad")["ms"]) == ("50.0%", "")
    people = cells(settings.out, "people who heard the voice alone, 200 votes")
    assert (people["UAR"], people["block 4"]) == ("63.0% ± 1.4%", "64.0%")
    text = settings.out.read_text()
    assert text.index("| good |") < text.index("| bad |")
    assert "| pink noise 20 dB below the clip | 70.0% | 40.0% |" in text
    for picture in ("reliability", "groups", "risk-coverage", "front"):
        assert f"](results/ang-hap-neu-{picture}.png)" in text
        assert (settings.results_dir / f"ang-hap-neu-{picture}.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("luckier", "surer"), [((3, 4) * 3, (1, 2, 3, 4)), ((1, 2, 3, 4), (1, 2, 3, 4) * 2)], ids=["blocks", "seeds"]
)
def test_the_plots_are_of_what_was_scored_most(
    settings: ReportSettings, luckier: tuple[int, ...], surer: tuple[int, ...]
) -> None:
    """Fewer blocks, and as many with fewer seeds, do not take the place of more, however good they are there."""
    results.write(settings.results_dir, "half", result("half", luckier, 0.9))
    results.write(settings.results_dir, "whole", result("whole", surer, 0.8))

    assert report(settings) == 0

    assert "### What whole takes for what" in settings.out.read_text()


def test_recipes_of_one_name_are_told_apart(settings: ReportSettings) -> None:
    """Two variants of a recipe have a row each, named as their files; labels have a part of the page each."""
    results.write(settings.results_dir, "one-11111111", result("one", (2, 4), uar=0.7))
    results.write(settings.results_dir, "one-22222222", result("one", (2, 4), uar=0.6))
    results.write(settings.results_dir, "two-33333333", result("two", labels=("ANG", "HAP", "SAD")))

    assert report(settings) == 0

    assert cells(settings.out, "one-11111111")["UAR"].startswith("70.0%")
    assert cells(settings.out, "one-22222222")["UAR"].startswith("60.0%")
    text = settings.out.read_text()
    assert text.count("\n## ") == 2
    assert "| two |" in text.partition("## ANG, HAP, SAD")[2]


def test_a_part_of_the_trainings_does_not_replace_all_of_them() -> None:
    """A split of which fewer trainings are found than are kept stays as it is; one of which all are found is new."""
    kept = result("one", (1, 2), 0.8)

    assert results.merged(kept, result("one", (2,), 0.7)).scores["speakers"].uar == pytest.approx(0.8)
    assert results.merged(kept, result("one", (1, 2, 3), 0.7)).scores["speakers"].uar == pytest.approx(0.7)
    assert set(results.merged(kept, result("one", (1,), 0.9, "leaky")).scores) == {"speakers", "leaky"}


@pytest.mark.parametrize(
    ("name", "content"), [("broken.json", b"{"), ("other.json", b'{"name":1}'), ("latency.json", b"[]")]
)
def test_a_file_that_holds_no_results_is_named(
    settings: ReportSettings, name: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is none of ours is one sentence and exit code 2."""
    settings.results_dir.mkdir()
    (settings.results_dir / name).write_bytes(content)

    assert report(settings) == 2

    error = capsys.readouterr().err
    assert error.startswith("moodwire report: ")
    assert f"{name} is not a file of results" in error
    assert len(error.splitlines()) == 1


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
        results._read_recipe(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"config.json holds no recipe: 'recipe'; train again"):
        results._read_recipe(tmp_path / "config.json")


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


def test_predictions_of_another_version_are_refused(tmp_path: Path) -> None:
    """Predictions that lack an array, and missing ones, are named with what to do."""
    with pytest.raises(BundleError, match=r"answers.npz cannot be read: .*; delete it, and `moodwire train` scores"):
        score.load(tmp_path)
    np.savez(tmp_path / score.FILE, scores=np.zeros((1, 3)))
    with pytest.raises(BundleError, match=r"answers.npz cannot be read"):
        score.load(tmp_path)


def test_shipped_results_can_be_read() -> None:
    """What lies in training/results is what this version reads."""
    folder = results.LATENCY.parent

    found = results.read(folder)

    assert all(score.trainings for one in found.values() for score in one.scores.values())
    assert all(latency.ms > 0 for latency in results.read_latencies(folder).values())
