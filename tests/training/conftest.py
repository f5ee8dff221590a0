"""The miniature corpus, and what was trained on it."""

import json
import os
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import miniature
import pytest
from miniature import CrossValidated

from training import recipe
from training.settings import TrainSettings


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the miniature corpus once; leave it as it is."""
    return miniature.write_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture
def recordings_dir(corpus: Path, tmp_path: Path) -> Path:
    """Return a folder with a `crema-d` of 33 synthetic clips; the last one repeats another's audio under two labels."""
    return shutil.copytree(corpus, tmp_path / "data")


@pytest.fixture(scope="session")
def cross_validated_once(tmp_path_factory: pytest.TempPathFactory) -> CrossValidated:
    """Cross-validate `tiny` once for the tests of all processes; leave its files as they are."""
    base = tmp_path_factory.getbasetemp()
    return miniature.cross_validate((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cross-validated")


@pytest.fixture
def cross_validated(cross_validated_once: CrossValidated, tmp_path: Path) -> CrossValidated:
    """Return a cross-validation of `tiny` whose run folders and bundles are the test's own."""
    shared, alone = cross_validated_once
    runs_dir, bundle_dir = tmp_path / "runs", tmp_path / "tiny"
    for theirs, own in ((shared.runs_dir, runs_dir), (shared.bundle_dir, bundle_dir), (alone, tmp_path / "alone")):
        assert theirs
        shutil.copytree(theirs, own)
    return CrossValidated(attrs.evolve(shared, runs_dir=runs_dir, bundle_dir=bundle_dir), tmp_path / "alone")


@pytest.fixture
def settings(recordings_dir: Path, tmp_path: Path) -> TrainSettings:
    """Return settings that train the tiny recipe on the miniature corpus."""
    return TrainSettings(
        recipe="tiny",
        recordings_dir=recordings_dir,
        runs_dir=tmp_path / "runs",
        bundle_dir=tmp_path / "tiny",
        cross_validate=True,
    )


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes `tiny` with changes, tables merged, to `<name>.toml`, and returns its path."""

    def write(name: str, **changes: Any) -> str:
        told = tomllib.loads((recipe.SHIPPED / "tiny.toml").read_text()) | {"name": name}
        for key, value in changes.items():
            told[key] = {**told.get(key, {}), **value} if isinstance(value, dict) else value
        tables = {key: value for key, value in told.items() if isinstance(value, dict)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items() if key not in tables]
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        path = tmp_path / f"{name}.toml"
        path.write_text("\n".join(lines))
        return str(path)

    return write


@pytest.fixture
def real_data_dir() -> Path:
    """Return the folder of the real recordings, where they are there."""
    folder = Path(__file__).parents[3] / "shared" / "data"
    if not (folder / "crema-d" / "clips.csv").is_file():
        pytest.skip("the recordings of CREMA-D do not lie beside the repository in ../shared/data")
    return folder
