"""Bundles: the shipped ones work, and a broken one is refused in one sentence that names what is wrong."""

import contextlib
import json
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from bundles import change_manifest
from hypothesis import example, given
from hypothesis import strategies as st
from records import reading, status

from broker.messages import Reading, Status, WireError, decode, encode
from models import bundle
from models.bundle import BundleError

SHIPPED = sorted(path for path in bundle.SHIPPED.iterdir() if path.is_dir())


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

    with pytest.raises(BundleError, match=r"has sha256 .* but its manifest names .* copy the bundle again"):
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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"labels": ["ANG", "angry"]},
            "label 'angry' is not allowed; use 1 to 16 of A-Z, 0-9 and _, a letter first",
        ),
        ({"labels": ["ANG", ""]}, "label '' is not allowed"),
        ({"labels": ["ANG", "NEU\n"]}, r"label 'NEU\\n' is not allowed"),
        ({"labels": ["ANG", "A" * 17]}, "label 'A{17}' is not allowed"),
        ({"labels": ["ANG", "HAP", "ANG"]}, "labels are ANG, HAP, ANG; give each label once"),
        ({"labels": ["ANG", "NEU"]}, "baseline has 3 shares; give one for each of the labels"),
        ({"labels": ["ANG"]}, "length >= 2"),
        ({"labels": [f"L{number}" for number in range(17)]}, "length <= 16"),
        ({"name": "model-1\n"}, r"at `\$.name`"),
        ({"window_ms": 499}, r">= 500 - at `\$.window_ms`"),
        ({"window_ms": 10_001}, r"<= 10000 - at `\$.window_ms`"),
        ({"hop_ms": 99}, r">= 100 - at `\$.hop_ms`"),
        ({"hop_ms": 3_020}, "hop_ms is 3020 and window_ms 3000; set a hop no longer than the window"),
        ({"hop_ms": 1_010}, "hop_ms is 1010, 16160 samples; set a multiple of .* hop_length, 400 samples"),
    ],
)
def test_a_model_that_no_device_can_use_is_refused(broken: Path, changes: dict[str, object], sentence: str) -> None:
    """Labels and names that the wire would refuse, and windows out of bounds, are refused when the bundle is loaded."""
    change_manifest(broken, **changes)

    with pytest.raises(BundleError, match=rf"manifest.json is not a valid manifest: .*{sentence}"):
        bundle.load(broken)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sample_rate_hz": 8_000}, "sample_rate_hz is 8000; set 16000, at which devices hear"),
        ({"sample_rate_hz": 0}, "sample_rate_hz is 0; set 16000"),
        ({"hop_length": 0}, r">= 16 - at `\$.front_end.hop_length`"),
        ({"n_fft": 0}, r">= 64 - at `\$.front_end.n_fft`"),
        ({"n_mels": 0}, r">= 1 - at `\$.front_end.n_mels`"),
        ({"floor": 0}, r"> 0.* - at `\$.front_end.floor`"),
        ({"f_min_hz": 4_000, "f_max_hz": 3_000}, "f_min_hz is 4000 and f_max_hz 3000; set 0 <= f_min_hz < f_max_hz"),
        ({"f_max_hz": 11_025}, "f_max_hz 11025; set 0 <= f_min_hz < f_max_hz <= 8000"),
    ],
)
def test_a_front_end_that_no_device_has_is_refused(broken: Path, changes: dict[str, object], sentence: str) -> None:
    """Another sample rate, or bounds that give no features, are refused when the bundle is loaded."""
    front_end = msgspec.to_builtins(bundle.load(broken).manifest.front_end)
    change_manifest(broken, front_end=front_end | changes)

    with pytest.raises(BundleError, match=rf"manifest.json is not a valid manifest: .*{sentence}"):
        bundle.load(broken)


@given(st.text(max_size=20) | st.from_regex(r"[A-Z][A-Z0-9_]{0,15}\n?"))
@example("angry")
@example("ANG")
@example("A" * 16)
@example("A" * 17)
def test_bundles_and_the_wire_agree_what_a_label_is(label: str) -> None:
    """A model loads if and only if readings with its labels are taken: else a device would fail at its first window."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    other = "A" if label != "A" else "B"
    with contextlib.nullcontext() if is_taken(label) else pytest.raises(ValueError, match="is not allowed"):
        msgspec.structs.replace(manifest, labels=(other, label), baseline=None)


def is_taken(label: str) -> bool:
    """Return whether the wire takes both messages that carry a device's labels."""
    try:
        decode(encode(status(labels=(label,))), Status)
        decode(json.dumps(json.loads(encode(reading(0, 0))) | {"scores": {label: 1.0}}).encode(), Reading)
    except WireError:
        return False
    return True
