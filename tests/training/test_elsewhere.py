"""What a model is worth elsewhere is kept where page, manifest and card find it."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from training_results import result

from models import bundle
from models.bundle import Manifest
from models.runtime import load_verified, synthetic_clip
from training import card, catalogue, elsewhere, emodb, ravdess, results
from training.commands import evaluate
from training.corpora import Clip
from training.report import report
from training.results import Elsewhere
from training.settings import EvaluateSettings, ReportSettings

SHIPPED = bundle.find(bundle.DEFAULT)
SURE = {"share": 1.0, "accuracy": 1.0}
FOUND = Elsewhere(clips=1, speakers=2, uar=2 / 3, uar_interval=(0, 1), recall={"NEU": 1}, ece=0.1, sure=SURE)


@pytest.fixture
def small(recordings_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a place with small copies of CREMA-D and EmoDB in which nobody speaks."""
    names = [f"{speaker}a0{number}{letter}a" for speaker in ("03", "08") for letter in "WFN" for number in (1, 2)]
    monkeypatch.setattr(emodb, "FILES", len(names))
    (recordings_dir / "emodb").mkdir()
    for number, name in enumerate(names):
        soundfile.write(recordings_dir / "emodb" / f"{name}.flac", synthetic_clip(20_000 + number), 16_000)
    return recordings_dir


@pytest.mark.slow
def test_figures_are_kept_for_page_and_card(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a corpus, each that is there is measured; its own row is that of the cross-validation.

    The manifest gets the other corpus' row alone, the card shows it, and a device still verifies the bundle.
    """
    shutil.copytree(SHIPPED, tmp_path / "own")
    before = bundle.load(SHIPPED).manifest
    asked = EvaluateSettings(str(tmp_path / "own"), small, write=True, results_dir=tmp_path / "results")

    assert evaluate(asked) == 0

    page = capsys.readouterr().out
    assert "on EmoDB" in page
    assert "12 clips of 2 speakers that this model never heard." in page
    assert "Left out: boredom" in page
    assert "| pink noise at -50 dBFS |" in page
    kept = results.read_elsewhere(tmp_path / "results")[before.name]
    assert (kept["crema-d"].clips, kept["crema-d"].speakers) == (2_867, 72)
    assert kept["crema-d"].uar == pytest.approx(before.measured["uar"], abs=1e-5)
    assert set(kept["emodb"].in_floors) == {"silence", "-70", "-60", "-50", "-40"}
    after = load_verified(tmp_path / "own").bundle.manifest
    assert list(after.measured["elsewhere"]) == ["emodb"]
    assert {**after.measured, "elsewhere": {}} == {**before.measured, "elsewhere": {}}
    text = (tmp_path / "own" / "CARD.md").read_text()
    assert text == card.render(after)
    assert "## Voices and rooms it was not made with" in text
    assert f"| EmoDB | German | 2 | 12 | {kept['emodb'].uar:.1%} |" in text


def of_two(manifest: Manifest, **measured: object) -> Manifest:
    """Return a release's manifest as if CREMA-D and EmoDB had taught it."""
    corpora = {name: {"title": catalogue.CORPORA[name].title, "licence": "CC0", "commercial": True} for name in OWN}
    train = [*range(1001, 1073), 203, *range(208, 217)]
    told = {"corpora": corpora, "speakers": {"train": train, "test": []}, **measured}
    return msgspec.structs.replace(manifest, measured={**manifest.measured, **told})


OWN = ("crema-d", "emodb")


def test_each_of_several_corpora_that_taught_a_model_is_its_own(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second corpus is never one that the model was not made with: for `evaluate`, manifest, card and page.

    What the cross-validation found on it is told as its own, even where a model of that name was a stranger there.
    """
    stale = {name: msgspec.to_builtins(FOUND) for name in ("emodb", "ravdess")}
    made = of_two(bundle.load(SHIPPED).manifest, elsewhere=stale)
    shutil.copytree(SHIPPED, tmp_path / "two")
    bundle.write_manifest(tmp_path / "two", made)

    text = card.render(made)
    assert "| RAVDESS | English |" in text
    assert "| EmoDB | German |" not in text
    for corpus in (None, *OWN):
        assert evaluate(EvaluateSettings(str(tmp_path / "two"), small, corpus)) == 2
        assert "was trained on all speakers of CREMA-D and EmoDB" in capsys.readouterr().err

    own = {
        "crema-d": msgspec.structs.replace(FOUND, own=True),
        "emodb": msgspec.structs.replace(FOUND, own=True, uar=0.625),
    }
    found = elsewhere.own(of_two(made, of_corpora=msgspec.to_builtins(own)), small)
    assert {name: (row.own, row.uar) for name, row in found.items()} == {
        "crema-d": (True, 2 / 3),
        "emodb": (True, 0.625),
    }
    assert list(elsewhere.others({**own, "ravdess": FOUND}, made)) == ["ravdess"]
    results.write(tmp_path / "results", "two", result("two"))
    results.write_elsewhere(tmp_path / "results", "two", {**own, "ravdess": FOUND})
    page = tmp_path / "RESULTS.md"
    assert report(ReportSettings(tmp_path / "runs", tmp_path / "results", page)) == 0
    rows = page.read_text().splitlines()
    for title, uar in (
        ("CREMA-D (its own) | English", "66.7%"),
        ("EmoDB (its own) | German", "62.5%"),
        ("RAVDESS | English", "66.7%"),
    ):
        assert any(row.startswith(f"| two | {title} | 2 | 1 | {uar}") for row in rows), title


def test_a_voice_of_song_is_that_of_speech() -> None:
    """Who taught a model by speaking is no stranger when singing."""
    manifest = bundle.load(SHIPPED).manifest
    spoken = msgspec.structs.replace(manifest, measured={**manifest.measured, "corpora": {"ravdess": {}}})

    assert catalogue.is_own("ravdess-song", spoken)
    assert not catalogue.is_own("crema-d", spoken)


def test_own_corpus_alone_is_refused_for_a_shipped_model(
    recordings_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is nothing but the recordings that trained it, one sentence says what to give."""
    assert evaluate(EvaluateSettings(recordings_dir=recordings_dir)) == 2

    error = capsys.readouterr().err
    assert "there is none that it never heard. Give another corpus with --corpus" in error
    assert len(error.splitlines()) == 1


def test_half_a_corpus_is_told(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A corpus that is not complete is not measured as if it were."""
    (small / ravdess.FOLDER).mkdir()

    assert evaluate(EvaluateSettings(recordings_dir=small)) == 2

    assert "holds 0 of the 1440 recordings of RAVDESS" in capsys.readouterr().err


def test_levels_are_those_of_voice_and_background(tmp_path: Path) -> None:
    """Speech at -20 dBFS for half of a clip above a background at -50 dBFS, and digital silence that does not count."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 32_768 * 10 ** (-50 / 20), 64_000)
    noise[32_000:] += rng.normal(0, 32_768 * 10 ** (-20 / 20), 32_000)
    soundfile.write(tmp_path / "a.flac", np.concatenate([np.zeros(4_096), np.rint(noise)]).astype(np.int16), 16_000)
    clip = Clip(
        path=tmp_path / "a.flac",
        speaker=1,
        sex="",
        age=None,
        label="ANG",
        sentence="",
        intensity="",
        samples=None,
        sha256="",
        votes={},
    )

    level = elsewhere.levels([clip])["ANG"]

    assert level.speech_dbfs == pytest.approx(-20, abs=0.3)
    assert level.floor_dbfs == pytest.approx(-50, abs=0.6)


def test_what_is_kept_of_other_models_and_corpora_stays(tmp_path: Path) -> None:
    """Measuring one corpus again replaces its row alone."""
    results.write_elsewhere(tmp_path, "a", {"emodb": FOUND, "ravdess": FOUND})
    results.write_elsewhere(tmp_path, "b", {"emodb": FOUND})

    results.write_elsewhere(tmp_path, "a", {"emodb": msgspec.structs.replace(FOUND, uar=0.5)})

    kept = results.read_elsewhere(tmp_path)
    assert {model: {name: row.uar for name, row in rows.items()} for model, rows in kept.items()} == {
        "a": {"emodb": 0.5, "ravdess": 0.66667},
        "b": {"emodb": 0.66667},
    }
    assert results.read(tmp_path) == {}
