"""What fuzzing has found stays found, and a few thousand new inputs find nothing."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from trials.fuzz import run
from trials.fuzz_targets import TARGETS

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
QUICK = {"wire": 3_000, "manifests": 1_000, "settings": 100, "clips": 3_000, "backups": 2_000, "rest": 100}


@pytest.mark.parametrize("file", CORPUS, ids=[file.name for file in CORPUS])
def test_an_input_that_once_failed_is_refused_or_taken(file: Path) -> None:
    """Nothing is raised that the caller of a reader does not expect."""
    with contextmanager(TARGETS[file.name.partition("-")[0]])() as target:
        target.take(file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_new_inputs_break_nothing(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`python -m trials.fuzz TARGET INPUTS` runs more."""
    monkeypatch.setattr("trials.fuzz.CORPUS", tmp_path)
    with contextmanager(TARGETS[name])() as target:
        found = run(target, name, QUICK[name], seed=1)

    kept = [f"{file.name}: {file.read_bytes()[:200]!r}" for file in tmp_path.iterdir()]
    assert found["failures"] == 0, kept
    assert found["accepted"] > 0
