"""The page of results is made of the result files alone."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from training_results import result

from training import results
from training.report import report
from training.results import Elsewhere, InFloor, Latency, Level
from training.settings import ReportSettings

pytestmark = pytest.mark.slow


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


def test_other_corpora_have_a_part_of_the_page(settings: ReportSettings) -> None:
    """A row for each model and corpus, its own corpus first and named so; floors and levels in tables of their own."""
    results.write(settings.results_dir, "one", result("one"))
    found = Elsewhere(
        clips=1_400,
        speakers=20,
        uar=0.59,
        uar_interval=(0.52, 0.66),
        recall={"ANG": 0.93, "NEU": 0.21},
        ece=0.22,
        sure={"share": 0.7, "accuracy": None},
        in_floors={"-50": InFloor(uar=0.79, recall={"ANG": 0.8, "NEU": 0.75})},
        levels={"ANG": Level(speech_dbfs=-19.2, floor_dbfs=-47.6)},
    )
    results.write_elsewhere(
        settings.results_dir, "one", {"ravdess": found, "crema-d": msgspec.structs.replace(found, own=True)}
    )

    assert report(settings) == 0

    text = settings.out.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| one | ") and "English" in line]
    assert rows == [
        f"| one | {name} | English | 20 | 1,400 | 59.0% | 52.0% to 66.0% | ANG 93%, NEU 21% | 0.220 | 70.0% |"
        + "  |" * 5
        for name in ("CREMA-D (its own)", "RAVDESS")
    ]
    assert "| one | RAVDESS | pink noise at -50 dBFS | 79.0% | ANG 80%, NEU 75% |" in text
    assert "| CREMA-D | ANG | -19 | -48 | 28 dB |" in text


@pytest.mark.parametrize(
    ("name", "content"),
    [("broken.json", b"{"), ("other.json", b'{"name":1}'), ("latency.json", b"[]"), ("elsewhere.json", b"[]")],
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
