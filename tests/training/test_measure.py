"""Systems that hear what no device computes are measured as ours are, and make no bundle."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.runtime import synthetic_clip
from training import asked, classical, heard, measure, recipe, recordings, results
from training.architectures import Classical
from training.commands import train
from training.heard import Averages
from training.recipe import RecipeError
from training.report import report
from training.settings import ReportSettings, TrainSettings

pytestmark = pytest.mark.slow
CLASSICAL = '[network]\narchitecture = "scikit-learn"\nmodel = "{}"\n[features]\nkind = "averages"\n'
NETWORK = '[network]\narchitecture = "conv-1d"\ngroups = [[4, 4], [4]]\n[features]\nkind = "averages"\n'
HEAD = 'name = "peer"\nlabels = ["ANG", "HAP", "NEU"]\nrenderings = ["noise"]\n'


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    """Return a function that writes a recipe and returns its path."""

    def write(head: str, tables: str) -> str:
        path = tmp_path / "peer.toml"
        path.write_text(head + tables)
        return str(path)

    return write


def asked_for(name: str, settings: TrainSettings, tmp_path: Path, split: str = "speakers") -> TrainSettings:
    """Return settings that measure a recipe on the miniature corpus."""
    return TrainSettings(name, settings.recordings_dir, tmp_path / "runs", split=split)


def test_a_network_is_measured(
    write: Callable[[str, str], str], settings: TrainSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says first that no device runs it, writes its figures and no bundle, and is not trained again."""
    peer = asked_for(write(HEAD + 'epochs = 2\nkeep = "best"\n', NETWORK), settings, tmp_path)

    assert train(peer) == 0

    said = capfd.readouterr().out.splitlines()
    assert said[0] == "peer is only measured and makes no bundle: it hears 162 averages, which no device computes"
    (folder,) = (tmp_path / "runs").glob("peer-*/*-seed-1")
    assert sorted(path.name for path in folder.iterdir()) == [
        "answers.npz",
        "config.json",
        "curves.jsonl",
        "measured.json",
        "model-int8.tflite",
        "model.tflite",
    ]
    measured = results._decode(folder / "measured.json", results.Measured).measured
    assert not measured["protocol"].startswith("LEAKY")
    assert not set(measured["speakers"]["train"]) & set(measured["speakers"]["test"])
    assert np.sum(measured["confusion"]) == measured["clips"]["test"]

    assert train(peer) == 0
    assert "epoch" not in capfd.readouterr().out
    assert report(ReportSettings(tmp_path / "runs", tmp_path / "kept", tmp_path / "page.md")) == 0
    assert "peer" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("split", ["leaky", "copies", "order"])
def test_a_leaky_split_is_measured_and_called_so(
    write: Callable[[str, str], str], settings: TrainSettings, tmp_path: Path, split: str
) -> None:
    """Its protocol says that speakers of the score may have trained it, and each clip of the score counts once."""
    assert train(asked_for(write(HEAD, CLASSICAL.format("tree")), settings, tmp_path, split)) == 0

    (file,) = (tmp_path / "runs").glob("peer-*/*-seed-1/measured.json")
    measured = results._decode(file, results.Measured).measured
    assert measured["protocol"].startswith("LEAKY")
    shared = set(measured["speakers"]["train"]) & set(measured["speakers"]["test"])
    assert shared or split == "order"  # the miniature corpus is in the order of its speakers
    assert np.sum(measured["confusion"]) == measured["clips"]["test"]
    assert report(ReportSettings(tmp_path / "runs", tmp_path / "kept", tmp_path / "page.md")) == 0
    assert "peer" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("model", ["k-nearest", "tree", "mlp", "svm"])
def test_what_is_no_network_is_measured(
    write: Callable[[str, str], str], settings: TrainSettings, tmp_path: Path, model: str
) -> None:
    """The models of scikit-learn tell loud from soft on the miniature corpus."""
    if model == "mlp":
        pytest.MonkeyPatch().setattr(classical, "MLP_ITERATIONS", 300)

    assert train(asked_for(write(HEAD, CLASSICAL.format(model)), settings, tmp_path)) == 0

    (file,) = (tmp_path / "runs").glob("peer-*/block-4-seed-1/measured.json")
    assert results._decode(file, results.Measured).measured["uar"] > 0.6


def test_a_bundle_of_what_no_device_computes_is_refused_before_training(
    write: Callable[[str, str], str], settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle or a release of such a system is one sentence, and nothing was trained."""
    peer = TrainSettings(write(HEAD, CLASSICAL.format("tree")), settings.recordings_dir, tmp_path / "r", tmp_path / "b")

    assert train(peer) == 2
    error = capsys.readouterr().err
    assert error == (
        "moodwire train: peer is only measured and makes no bundle: it hears 162 averages, which no device computes: "
        "leave out bundle_dir and release\n"
    )
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("head", "tables", "reason"),
    [
        (HEAD + "epochs = 2\n", CLASSICAL.format("tree"), "epochs is 2: leave it out"),
        (HEAD, NETWORK, "epochs is 0: give at least 1"),
        (HEAD, CLASSICAL.format("tree").partition("[features]")[0], "features is missing"),
        (HEAD + "votes = 0.5\n", CLASSICAL.format("tree"), "features of their own have no augment"),
        (HEAD, CLASSICAL.format("forest"), "Invalid enum value 'forest'"),
        (HEAD, CLASSICAL.format("tree").replace("averages", "eyes"), "Invalid value 'eyes'"),
    ],
)
def test_a_recipe_that_cannot_be_is_told(write: Callable[[str, str], str], head: str, tables: str, reason: str) -> None:
    """A network without epochs, a model without features, and names that no registry has are each one sentence."""
    with pytest.raises(RecipeError, match=reason):
        recipe.load(write(head, tables))


def test_copies_need_a_recipe_that_makes_some(
    settings: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The split `copies` of a recipe without copies is a sentence."""
    assert train(asked_for("tiny", settings, tmp_path, "copies")) == 2
    assert "tiny-0 makes no altered copies: choose another split than copies" in capsys.readouterr().err


def test_copies_are_computed_once_and_kept(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another training finds features and altered copies on disk."""
    plan = msgspec.structs.replace(
        recipe.load("published-c-tree"), corpora=("crema-d",), by_sex=False, labels=("ANG", "HAP")
    )
    clips = recordings.read(plan, settings.recordings_dir)
    copies = [msgspec.structs.replace(clip, copy=copy) for clip in clips[:2] for copy in (0, 1)]

    first = measure.FeatureCache(clips, plan, tmp_path).of(copies)
    computed: list[int] = []
    monkeypatch.setattr(measure.FeatureCache, "_computed", lambda self, copy: computed.append(copy))
    again = measure.FeatureCache(clips, plan, tmp_path).of(copies)

    np.testing.assert_array_equal(first, again)
    assert computed == []
    assert not np.array_equal(first[0], first[1])
    assert np.isfinite(Averages().of(Averages().load(synthetic_clip(16_000)))).all()
    assert asked.only_measured(plan).startswith("published-c-tree is only measured")
    assert Classical(model="tree").title == "decision tree"
    assert heard.NOISE == 0.035
