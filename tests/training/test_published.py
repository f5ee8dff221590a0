"""The page of published systems is made of the result files, and names what was not run."""

from pathlib import Path

from training_results import result

from training import published, recipe, results
from training.report import report
from training.settings import ReportSettings

LABELS = ("ANG", "HAP", "NEU")


def test_a_system_has_its_leaky_number_beside_the_honest_one(tmp_path: Path) -> None:
    """Rows tell both splits, folds and classes; what is listed here is not on the page of our models."""
    leaky = result("published-c-tree", uar=0.9, split="copies")
    apart = result("published-c-tree", blocks=(1, 2, 3), uar=0.4)
    both = results.merged(leaky, apart)
    results.write(tmp_path / "kept", "published-c-tree-1", both)
    results.write(tmp_path / "kept", "tiny-1", result("tiny"))
    settings = ReportSettings(tmp_path, tmp_path / "kept", tmp_path / "RESULTS.md", tmp_path / "published.md")

    assert report(settings) == 0

    page = (tmp_path / "published.md").read_text()
    assert "| published-c-tree | 90.0% |  |  | 40.0% ± 0.0% | 3 |" in page
    assert "### What published-c-tree hears of strangers" in page
    assert "Not run yet: `published-c-nearest`" in page
    assert "published-c-tree" not in (tmp_path / "RESULTS.md").read_text()


def test_every_listed_system_is_a_recipe() -> None:
    """Nothing is on the page that nobody could repeat."""
    shipped = {recipe.load(path.stem).name for path in recipe.SHIPPED.glob("*.toml")}

    assert shipped >= published.LISTED
