"""Who may import whom: the rooms meet at the two contracts and nowhere else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"broker", "dashboard", "device", "models", "server", "training", "trials", "wiring", "moodwire"}
MAY_IMPORT = {
    "broker": set(),
    "models": set(),
    "dashboard": set(),
    "device": {"broker", "models"},
    "server": {"broker"},
    "training": {"models"},
    "wiring": ROOMS,
    "trials": ROOMS,
}
NEVER_ON_A_PI = {"tensorflow", "tf_keras", "tensorflow_model_optimization", "librosa", "scipy", "numba", "matplotlib"}


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the top-level package of every import in a file, at any depth, with its line."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.partition(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide who is imported"
            yield (node.module or "").partition(".")[0], node.lineno


def files(room: str) -> list[Path]:
    """Return the Python files of a room."""
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, f"{room}/ has no Python files"
    return found


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_its_contracts(room: str) -> None:
    """Each room imports of ours only itself and what the design allows."""
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(room)
        for name, line in imports(path)
        if name in ROOMS and name not in allowed
    ]

    assert wrong == []


@pytest.mark.parametrize("room", ["broker", "models", "device"])
def test_what_runs_on_a_pi_stays_light(room: str) -> None:
    """Neither the device nor the contracts import a heavy package, not even late."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(room)
        for name, line in imports(path)
        if name in NEVER_ON_A_PI
    ]

    assert wrong == []


def test_the_front_door_loads_no_room_by_itself() -> None:
    """`moodwire --help` needs no room's packages: rooms are imported by name, late."""
    wrong = [name for name, _ in imports(ROOT / "moodwire.py") if name in ROOMS]

    assert wrong == []


def test_every_folder_with_code_has_its_rule() -> None:
    """A new room needs a line in this table."""
    folders = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests"}

    assert folders == set(MAY_IMPORT)


def test_no_module_is_two_rooms() -> None:
    """No file is longer than about 400 lines, because then it has become two."""
    long = {
        str(path.relative_to(ROOT)): lines
        for room in [*MAY_IMPORT, "tests"]
        for path in files(room)
        if (lines := len(path.read_text().splitlines())) > 420
    }

    assert long == {}


def test_only_known_top_level_names_shadow_nothing() -> None:
    """No room has the name of a standard library module."""
    assert not ROOMS & sys.stdlib_module_names
