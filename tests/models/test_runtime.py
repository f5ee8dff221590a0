"""The runtime: shipped models give their golden scores; what cannot run, or gives others, is refused."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from bundles import change_manifest

from models import bundle, tflite
from models.bundle import BundleError
from models.runtime import Classifier, load_verified

_array = io.BytesIO()
np.save(_array, np.zeros(3))
NPY = _array.getvalue()
SHIPPED = sorted(path for path in bundle.SHIPPED.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda path: path.name)
def test_shipped_bundle_gives_its_golden_scores(folder: Path) -> None:
    """Each shipped model loads with LiteRT's default delegate and gives the features and scores of training."""
    model = load_verified(folder)

    assert model.bundle == bundle.load(folder)
    assert model.classifier.scores(golden(folder)["features"]) == pytest.approx(golden(folder)["scores"], abs=0.02)


def test_wrong_label_count_is_refused(broken: Path) -> None:
    """A manifest with more labels than the model has outputs is refused."""
    change_manifest(broken, labels=["ANG", "HAP", "NEU", "SAD"], baseline=None)

    with pytest.raises(BundleError, match=r"gives \(1, 3\), but its manifest names 4 labels; export"):
        Classifier(bundle.load(broken))


def test_wrong_window_is_refused(broken: Path) -> None:
    """A manifest whose window is not the model's input is refused."""
    manifest = bundle.load(broken).manifest
    described = manifest.front_end.frames_in(2 * manifest.front_end.sample_rate_hz)
    change_manifest(broken, window_ms=2_000)

    words = rf"takes \(1, {manifest.window_frames}, 64, 1\), but its manifest describes \(1, {described}, 64, 1\)"
    with pytest.raises(BundleError, match=words):
        Classifier(bundle.load(broken))


def test_what_is_no_model_is_refused(broken: Path) -> None:
    """Bytes that are no TFLite model are refused even when their hash fits."""
    loaded = msgspec.structs.replace(bundle.load(broken), model=b"no flat buffer")

    with pytest.raises(BundleError, match="is not a model LiteRT can run"):
        Classifier(loaded)


def test_a_model_with_another_number_of_inputs_is_refused(broken: Path) -> None:
    """A model with two outputs is refused, whichever of them would be read."""
    content = schema.ModelT.InitFromPackedBuf(bundle.load(broken).model, 0)
    content.subgraphs[0].outputs = [*content.subgraphs[0].outputs] * 2
    loaded = msgspec.structs.replace(bundle.load(broken), model=tflite.write(content))

    with pytest.raises(BundleError, match="has 1 inputs and 2 outputs; export it with one each"):
        Classifier(loaded)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scores": np.array([1.0, 1.0, 1.0])}, r"scores differ by .* 0.02 is allowed"),
        ({"scores": np.full(3, np.nan)}, r"scores differ by nan"),
        ({"scores": np.zeros(4)}, r"its manifest describes \(\(48000,\), \(118, 64\), \(3,\)\)"),
        ({"scores": np.array(["a", "b", "c"])}, "has clip, features and scores of int16, float32, <U1; export"),
        ({"features": np.ones((118, 64), np.float32)}, r"this machine's features differ by .* dB from those"),
        ({"features": np.full((118, 64), np.nan)}, "this machine's features differ by nan dB"),
        (
            {"features": np.zeros((64, 118), np.float32)},
            "its manifest describes .*; export it again",
        ),
        ({"clip": np.zeros(16_000, np.int16)}, "scores of .*16000.*; export it again"),
        ({"clip": np.zeros(48_000)}, "has clip, features and scores of float64, float32, float64; export"),
        ({"clip": np.zeros((2, 48_000), np.int16)}, "scores of .*48000.*; export it again"),
    ],
)
def test_a_golden_file_that_does_not_fit_is_noticed(
    broken: Path, changes: dict[str, np.ndarray], sentence: str
) -> None:
    """Other scores or features than this machine computes, or of another shape or kind, are refused and told."""
    np.savez(broken / "golden.npz", **(golden(broken) | changes))

    with pytest.raises(BundleError, match=rf"golden.npz.*{sentence}"):
        load_verified(broken)


class _Code:
    """Something whose reading would make a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.place,)


def test_code_in_a_golden_file_is_not_run(broken: Path, tmp_path: Path) -> None:
    """Objects, which Python would build as the file says, are refused."""
    place = tmp_path / "made"
    np.savez(broken / "golden.npz", **(golden(broken) | {"clip": np.array([_Code(place)], dtype=object)}))

    with pytest.raises(BundleError, match=r"golden.npz cannot be read: Object arrays cannot be loaded"):
        load_verified(broken)
    assert not place.exists()


def test_a_golden_file_that_swells_is_refused(broken: Path) -> None:
    """A few kilobytes that unpack to far more than a clip has are refused before they are unpacked."""
    np.savez_compressed(broken / "golden.npz", **(golden(broken) | {"clip": np.zeros(10_000_000, np.int16)}))
    assert (broken / "golden.npz").stat().st_size < 100_000

    with pytest.raises(BundleError, match=r"golden.npz unpacks to 20,0\d\d,\d\d\d bytes, more than 16,777,216"):
        load_verified(broken)


def test_a_model_that_gives_no_numbers_is_refused(broken: Path) -> None:
    """Scores that are not numbers differ from the golden ones, whatever these are."""
    change_manifest(broken, temperature=5e-324)

    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(BundleError, match="scores differ by nan"):
        load_verified(broken)


@pytest.mark.parametrize(
    "content", [None, b"", b"no archive", b"PK\3\4 cut", NPY], ids=["none", "empty", "text", "cut", "npy"]
)
def test_an_unreadable_golden_file_is_named(broken: Path, content: bytes | None) -> None:
    """A golden file that is missing, cut or no archive is named."""
    path = broken / "golden.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(BundleError, match=r"golden.npz cannot be read: .*; copy the bundle again"):
        load_verified(broken)


def golden(folder: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a golden file."""
    with np.load(folder / "golden.npz") as archive:
        return dict(archive)
