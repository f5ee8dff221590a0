"""Bundles: the shipped ones work, and a broken one is refused in one sentence that names what is wrong."""

import shutil
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models import bundle
from models.bundle import BundleError
from models.runtime import Classifier, synthetic_clip

SHIPPED = sorted(path for path in bundle.SHIPPED.iterdir() if path.is_dir())


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a copy of the default bundle, for a test to break."""
    return Path(shutil.copytree(bundle.find(bundle.DEFAULT), tmp_path / "broken"))


def change_manifest(folder: Path, **changes: object) -> None:
    """Replace fields of a bundle's manifest."""
    path = folder / "manifest.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), **changes}))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_bundle_gives_its_golden_scores(folder: Path) -> None:
    """Each shipped model loads with LiteRT's default delegate and gives the features and scores of training."""
    Classifier(bundle.load(folder)).verify()


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_bundle_says_what_it_is(folder: Path) -> None:
    """Each shipped bundle has a card that states its measured accuracy, fits into 64 KiB, 40 KiB compressed."""
    loaded = bundle.load(folder)
    card = (folder / "CARD.md").read_text(encoding="utf-8")

    assert loaded.manifest.name in card
    assert f"{loaded.manifest.measured['uar']:.1%}" in card
    assert "Article 5(1)(f)" in card
    assert len(loaded.model) <= 64 * 1024
    assert len(zlib.compress(loaded.model, 9)) <= 40 * 1024


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_bundle_was_taught_by_everyone_and_scored_on_strangers(folder: Path) -> None:
    """All speakers taught a shipped file; its figures are those of models that each had a block of them held out."""
    measured = bundle.load(folder).manifest.measured

    assert measured["speakers"] == {"train": list(range(1001, 1073)), "test": []}
    folds = measured["cross_validation"]["folds"]
    assert [fold["speakers"] for fold in folds] == ["1001-1018", "1019-1036", "1037-1054", "1055-1072"]
    assert measured["uar"] == pytest.approx(np.mean([fold["uar"] for fold in folds]))
    assert measured["uar"] < measured["uar_of_training_clips"]
    assert "none left to score it on" in measured["protocol"]


def test_default_bundle_is_better_than_its_promise() -> None:
    """Models of the default recipe reach a mean UAR above 0.78 on speakers that they never heard."""
    assert bundle.load(bundle.find(bundle.DEFAULT)).manifest.measured["uar"] > 0.78


def test_a_bundle_is_found_by_name_and_by_path(broken: Path) -> None:
    """`find` takes the name of a shipped bundle or the path of any."""
    assert bundle.find(bundle.DEFAULT) == bundle.SHIPPED / bundle.DEFAULT
    assert bundle.find(str(broken)) == broken


def test_unknown_bundle_is_refused() -> None:
    """A name that is neither shipped nor a folder is answered with the names that are."""
    with pytest.raises(BundleError, match=r"no bundle 'nope': give a folder, or .*ang-hap-neu"):
        bundle.find("nope")


@pytest.mark.parametrize("name", ["manifest.json", "model.tflite"])
def test_missing_file_is_named(broken: Path, name: str) -> None:
    """A bundle without one of its files names it."""
    (broken / name).unlink()

    with pytest.raises(BundleError, match=rf"{name} cannot be read: No such file"):
        bundle.load(broken)


def test_another_model_is_refused(broken: Path) -> None:
    """A model file that is not the manifest's is told by its hash."""
    with (broken / "model.tflite").open("ab") as file:
        file.write(b"!")

    with pytest.raises(BundleError, match=r"has sha256 .* but its manifest names .* corrupt or belongs to another"):
        bundle.load(broken)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"temperature": 0}, r"`float` > 0.* at `\$.temperature`"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"schema_version": 2}, r"Invalid enum value 2 - at `\$.schema_version`"),
    ],
)
def test_bad_manifest_is_refused(broken: Path, changes: dict[str, object], reason: str) -> None:
    """A manifest with a wrong, unknown or newer field names that field."""
    change_manifest(broken, **changes)

    with pytest.raises(BundleError, match=rf"manifest.json is not a valid manifest: .*{reason}"):
        bundle.load(broken)


def test_hop_must_fit_the_frames(broken: Path) -> None:
    """A hop that is no whole number of frames is refused, because windows could not share frames."""
    step = bundle.load(broken).manifest.front_end.hop_length
    change_manifest(broken, hop_ms=1_010)

    with pytest.raises(BundleError, match=rf"hop_ms 1010 is 16160 samples, not a multiple of .* hop_length {step}"):
        bundle.load(broken)


def test_wrong_label_count_is_refused(broken: Path) -> None:
    """A manifest with more labels than the model has outputs is refused."""
    change_manifest(broken, labels=["ANG", "HAP", "NEU", "SAD"])

    with pytest.raises(BundleError, match="the model gives 3 scores, its manifest names 4 labels"):
        Classifier(bundle.load(broken))


def test_wrong_window_is_refused(broken: Path) -> None:
    """A manifest whose window is not the model's input is refused."""
    manifest = bundle.load(broken).manifest
    described = manifest.front_end.frames_in(2 * manifest.front_end.sample_rate_hz)
    change_manifest(broken, window_ms=2_000)

    words = rf"takes \(1, {manifest.window_frames}, 64, 1\), its manifest describes \(1, {described}, 64, 1\)"
    with pytest.raises(BundleError, match=words):
        Classifier(bundle.load(broken))


def test_what_is_no_model_is_refused(broken: Path) -> None:
    """Bytes that are no TFLite model are refused even when their hash fits."""
    loaded = msgspec.structs.replace(bundle.load(broken), model=b"no flat buffer")

    with pytest.raises(BundleError, match="is not a model LiteRT can run"):
        Classifier(loaded)


def test_other_golden_scores_are_noticed(broken: Path) -> None:
    """A machine that computes other scores than training did is told by how much."""
    loaded = bundle.load(broken)
    classifier = Classifier(loaded)
    clip = synthetic_clip(48_000)
    features = loaded.manifest.front_end.log_mel(clip)
    np.savez(broken / "golden.npz", clip=clip, features=features, scores=np.array([1.0, 1.0, 1.0]))

    with pytest.raises(BundleError, match=r"scores differ by .* 0.02 is allowed"):
        classifier.verify()


def test_other_golden_features_are_noticed(broken: Path) -> None:
    """A front end that computes other features than training's is noticed before the model runs."""
    loaded = bundle.load(broken)
    classifier = Classifier(loaded)
    clip = synthetic_clip(48_000)
    features = loaded.manifest.front_end.log_mel(clip) + 1
    np.savez(broken / "golden.npz", clip=clip, features=features, scores=np.zeros(3))

    with pytest.raises(BundleError, match="front end gives other features than training recorded"):
        classifier.verify()


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_unreadable_golden_file_is_named(broken: Path, content: bytes | None) -> None:
    """A golden file that is missing or no archive is named."""
    classifier = Classifier(bundle.load(broken))
    golden = broken / "golden.npz"
    golden.unlink()
    if content is not None:
        golden.write_bytes(content)

    with pytest.raises(BundleError, match=r"golden.npz cannot be read"):
        classifier.verify()
