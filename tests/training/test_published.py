"""The page of published systems is made of the result files, and names what was not run."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from training_results import predictions, result, training

from models import bundle
from training import catalogue, confusions, published, published_systems, recipe, results
from training.report import report
from training.results import AfterBaseline, Elsewhere, Latency, Result
from training.settings import ReportSettings

SIXTEEN = ("F_ANG", "F_SAD", "M_ANG", "M_SAD")
COUNTS = ((8, 1, 1, 0), (4, 4, 2, 0), (0, 0, 5, 5), (0, 0, 2, 8))
"""What is taken for what of these: women's anger 8 of 10, or 9 with the sexes merged."""


def by_sex(split: str = "speakers") -> Result:
    """Return a result with classes by sex and curves."""
    found = result("published-c-cnn", split=split)
    told = {**(found.recipe or {}), "by_sex": True, "corpora": ["ravdess"]}
    score = found.scores[split]
    trainings = tuple(msgspec.structs.replace(one, confusion=COUNTS) for one in score.trainings)
    pooled = {**score.pooled, "confusion": (2 * np.array(COUNTS)).tolist()}
    curves = {"loss": (2.0, 1.0), "val_loss": (2.0, 1.5), "accuracy": (0.2, 0.7), "val_accuracy": (0.2, 0.4)}
    score = msgspec.structs.replace(score, trainings=trainings, pooled=pooled, curves=curves)
    return msgspec.structs.replace(found, labels=SIXTEEN, scores={split: score}, recipe=told)


@pytest.fixture
def settings(tmp_path: Path) -> ReportSettings:
    """Return settings of an empty place."""
    return ReportSettings(tmp_path, tmp_path / "kept", tmp_path / "RESULTS.md", tmp_path / "published.md")


@pytest.mark.slow
def test_a_system_has_its_leaky_number_beside_the_honest_one(settings: ReportSettings) -> None:
    """Rows tell both splits, folds and classes; what is listed here is not on the page of our models."""
    leaky = result("published-c-tree", uar=0.9, split="copies")
    apart = result("published-c-tree", blocks=(1, 2, 3, 4), uar=0.4)
    both = results.merged(leaky, apart)
    results.write(settings.results_dir, "published-c-tree-1", both)
    results.write(settings.results_dir, "tiny-1", result("tiny"))

    assert report(settings) == 0

    page = settings.published.read_text()
    assert "| published-c-tree | CREMA-D | 3 | 90.0% |  |  | 40.0% ± 0.0% | 4 |" in page
    assert "| the capstone | 80.8 % | copies on both sides | published-c-tree | 90.0% | 40.0% |" in page
    assert "### What published-c-tree hears of strangers" in page
    assert "| ANG | 32 of 40 | 80.0% | 80.0% | 0.80 | 80.0% | HAP |" in page
    assert "| mean of the classes | 96 of 120 |" in page
    assert "Not run yet: `published-c-nearest`" in page
    assert "published-c-tree" not in settings.out.read_text()
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith(("|", "!")))


def test_a_row_names_its_folds_if_the_corpus_has_more() -> None:
    """Two folds of five are told by their numbers: no mean over some of them stands as if it were over all."""
    told = {"corpora": ["ravdess-song", "ravdess"], "merged": {}}
    some = msgspec.structs.replace(result("published-e", (1, 3), 0.4), recipe=told)
    every = msgspec.structs.replace(result("published-e-baseline", (1, 2, 3, 4, 5), 0.3), recipe=told)

    page = published.render([some, every], {}, {"published-e": Latency(ms=61.23, of_published=30.0)}, {}, ".")

    assert (
        "| published-e | RAVDESS song, RAVDESS | 3 |  |  |  | 40.0% ± 0.0% | 1, 3 of 5 | 40.0% | 1,234 |  | 61.2 |"
        in page
    )
    assert "| published-e-baseline | RAVDESS song, RAVDESS | 3 |  |  |  | 30.0% ± 0.0% | 5 |" in page


def test_sexes_are_merged_and_compared(settings: ReportSettings) -> None:
    """An answer of the other sex is right about the emotion; women and men have their own recall; figures are drawn."""
    both = results.merged(by_sex("copies"), by_sex())
    results.write(settings.results_dir, "published-c-cnn-1", both)

    assert report(settings) == 0

    page = settings.published.read_text()
    # women: anger 9 of 10, sadness 4 of 10; men: anger 5 of 10, sadness 8 of 10; 3 of 40 answers name the other sex
    assert "| published-c-cnn | 80.0% ± 0.0% | 65.0% ± 0.0% | 65.0% | 92.5% | 65.0% | 65.0% |" in page
    drawn = {file.name for file in settings.results_dir.glob("*.png")}
    shown = {f"published-c-{kind}.png" for kind in ("strangers", "leaky", "emotions", "curves")}
    assert shown <= drawn
    assert all(f"({Path(settings.results_dir.name) / name})" in page for name in shown)


def test_ours_is_heard_as_the_peer_hears() -> None:
    """Where a peer has fewer classes, our answers are merged into these, and the row says so."""
    ours = result("ravdess-eight-1", (1, 2))
    counts = ((5, 3, 2), (0, 9, 1), (0, 5, 5))
    score = ours.scores["speakers"]
    trainings = tuple(msgspec.structs.replace(training(block, 0.6), confusion=counts) for block in (1, 2))
    ours = msgspec.structs.replace(ours, scores={"speakers": msgspec.structs.replace(score, trainings=trainings)})
    peer = result("published-d", (1,))
    score = peer.scores["speakers"]
    score = msgspec.structs.replace(score, pooled={**score.pooled, "confusion": [[8, 2], [2, 18]]})
    told = {"corpora": ["ravdess"], "merged": {"NEU": "HAP"}}
    peer = msgspec.structs.replace(peer, labels=("ANG", "HAP"), recipe=told, scores={"speakers": score})

    page = published.render([ours, peer], {}, {}, {}, ".")

    # anger 5 of 10, the others 20 of 20
    assert "| ours, ravdess-eight-1, its answers merged | CREMA-D | 2 |  |  |  | 75.0% ± 0.0% |" in page
    assert "| the embedded-compiler demo | none | not told | published-d |  |" in page


def test_each_model_is_heard_on_each_corpus(settings: ReportSettings) -> None:
    """What taught a model stands in its row, of a shipped one what its manifest tells; its own corpora are marked.

    What only serves this table is on no page of shipped models.
    """
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    sure = {"share": 1.0, "accuracy": 1.0}
    told = {"clips": 1, "speakers": 2, "uar_interval": (0, 1), "recall": {"ANG": 1, "HAP": 1}, "ece": 0.1, "sure": sure}
    warm = AfterBaseline(uar=0.7, worst_uar=0.6, recall={}, ece=0.1, sure=sure)
    own, other = Elsewhere(uar=0.8, own=True, **told), Elsewhere(uar=0.5, after_baseline=warm, **told)
    results.write(settings.results_dir, "published-c-tree", result("published-c-tree"))
    for model, found in {
        "both-1": {"crema-d": own, "emodb": own, "ravdess": other},
        "emodb-three-1": {"crema-d": other, "emodb": own},
        manifest.name: {"crema-d": own, "ravdess": other},
    }.items():
        results.write_elsewhere(settings.results_dir, model, found)

    assert report(settings) == 0

    page = settings.published.read_text()
    assert "| CREMA-D and EmoDB | both-1 | *80.0%* | 50.0% → 70.0% | *80.0%* |" in page
    assert "| EmoDB | emodb-three-1 | 50.0% → 70.0% |  | *80.0%* |" in page
    assert f"| {catalogue.titles(manifest)} | {manifest.name} | *80.0%* |" in page
    assert "both-1" in settings.out.read_text()
    assert "emodb-three-1" not in settings.out.read_text()


def test_curves_and_confusions_are_kept_in_short(tmp_path: Path) -> None:
    """Curves are means over the folds, of as many epochs as each has; a row of numbers is one line of the file."""
    short, long = [{"loss": 2.0, "accuracy": 0.5}], [{"loss": 1.0}, {"loss": 0.5}]

    assert results._mean_curves([short, long]) == {"loss": (1.5, 0.5), "accuracy": (0.5,)}

    results.write(tmp_path, "published-c-cnn-1", by_sex())
    assert "[8,1,1,0]," in (tmp_path / "published-c-cnn-1.json").read_text()
    assert results.read(tmp_path)["published-c-cnn-1"].scores["speakers"].trainings[0].confusion == COUNTS


def test_merged_scores_need_the_confusion_of_every_fold() -> None:
    """What was kept without it cannot be merged, and is not guessed."""
    found = results.summary([training(1, 0.8)], [predictions(8, 2)], ("ANG", "HAP", "NEU"))

    assert confusions.merged(found, ("ANG", "HAP", "NEU"), str.lower) is None


def test_every_listed_system_is_a_recipe() -> None:
    """Nothing is on the page that nobody could repeat."""
    shipped = {recipe.load(path.stem).name for path in recipe.SHIPPED.glob("*.toml")}

    assert shipped >= published_systems.LISTED
    assert {line.split for system in published_systems.SYSTEMS for line in system.lines} <= set(published_systems.LEAKY)
    assert len(catalogue.CORPORA["ravdess"].blocks) == 5
