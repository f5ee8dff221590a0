"""Who may import whom: the rooms meet at the two contracts and nowhere else."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {"common"}
"""What every room may import, and what imports nothing of ours."""
MAY_IMPORT = {
    "common": set(),
    "broker": set(),
    "models": set(),
    "dashboard": set(),
    "device": {"broker", "models"},
    "server": {"broker"},
    "training": {"models"},
    "wiring": {"broker", "dashboard", "device", "models", "server", "training"},
    "trials": {"broker", "dashboard", "device", "models", "moodwire", "server", "training", "wiring"},
}
ROOMS = {*MAY_IMPORT, "moodwire"}
INSIDE = {
    "server": {
        "errors": set(),
        "settings": set(),
        "mqtt_endpoint": {"errors", "settings"},
        "store": {"errors", "settings"},
        "ingest": {"errors", "settings", "mqtt_endpoint", "store"},
        "query": {"errors", "settings", "store"},
        "web": {"errors", "settings", "store"},
        "rest": {"errors", "settings", "store", "query", "web"},
        "live": {"errors", "settings", "store", "query", "web"},
        "alerts": {"errors", "settings", "mqtt_endpoint", "store", "query"},
        "ops": {"errors", "settings", "mqtt_endpoint", "store"},
        "cli": {"errors", "settings", "store", "ingest", "rest", "live"},
    },
    "device": {
        "settings": set(),
        "system": set(),
        "audio": {"settings", "system"},
        "inference": {"audio"},
        "control": {"settings"},
        "delivery": {"settings", "system", "audio", "inference"},
        "errors": {"audio", "delivery"},
        "health_reporter": {"system", "delivery"},
        "runner": {"system", "audio", "inference", "control", "delivery", "health_reporter"},
        "ops": {"errors", "settings", "system", "audio", "inference", "control", "delivery"},
        "cli": {
            *("errors", "settings", "system", "audio", "inference", "control", "delivery", "health_reporter", "runner"),
        },
    },
}
"""Inside the two large rooms: which part may import which, from the ground up."""
MADE_LATE = {
    "broker/messages.py:_decoder",  # of lists of messages, whose types are known by then
    "device/control/overrides.py:load",  # before any thread starts
    "device/delivery/dropped.py:read",  # a type of Health's
    "device/delivery/outbox_salvage.py:_generation_of",  # under the outbox's lock
    "models/bundle.py:_read_manifest",  # before any thread starts
    "server/alerts/rules.py:load",  # before any thread starts
    "server/ops/backup.py:_lines",  # a command with one thread
    "server/ops/doctor.py:_rest",  # a command with one thread
    "server/query/completeness.py:_told",  # a type of Health's
    "server/rest/device_bodies.py:_baseline",  # a type of Health's
    "server/store/command_queue.py:_due_command",  # a word
}
"""Functions in which msgspec may be shown a type, because no other thread can show it the same one."""
NEVER_ON_A_PI = {"tensorflow", "tf_keras", "tensorflow_model_optimization", "librosa", "scipy", "numba", "matplotlib"}


def imported_modules(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the full name of every import in a file, at any depth, with its line."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide who is imported"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the top-level package of every import in a file, at any depth, with its line."""
    for name, line in imported_modules(path):
        yield name.partition(".")[0], line


def files(room: str) -> list[Path]:
    """Return the Python files of a room."""
    found = sorted((ROOT / room).rglob("*.py"))
    assert found, f"{room}/ has no Python files"
    return found


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_its_contracts(room: str) -> None:
    """Each room imports of ours only itself and what the design allows."""
    allowed = MAY_IMPORT[room] | GROUND | {room}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(room)
        for name, line in imports(path)
        if name in ROOMS and name not in allowed
    ]

    assert wrong == []


@pytest.mark.parametrize("room", sorted(INSIDE))
def test_the_parts_of_a_room_import_only_what_lies_below_them(room: str) -> None:
    """Each part imports of its room only itself and what the table allows."""
    wrong = []
    for path in files(room):
        part = path.relative_to(ROOT / room).with_suffix("").parts[0]
        for name, line in imported_modules(path):
            package, _, inner = name.partition(".")
            target = inner.partition(".")[0]
            if package == room and part != "__init__" and target not in INSIDE[room][part] | {part}:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")

    assert wrong == []


@pytest.mark.parametrize("room", sorted(INSIDE))
def test_every_part_of_a_room_has_its_rule(room: str) -> None:
    """A new part of a room needs a line in the table, and the table has no line too many."""
    parts = {path.relative_to(ROOT / room).with_suffix("").parts[0] for path in files(room)} - {"__init__"}

    assert parts == INSIDE[room].keys()


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_no_modules_import_each_other_in_a_circle(room: str) -> None:
    """The modules of a room can be put in an order in which each imports only earlier ones."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files(room)}
    arrows = {
        module: {
            found
            for name, _ in imported_modules(path)
            if (found := name if name in modules else name.rpartition(".")[0]) in modules
        }
        for module, path in modules.items()
    }

    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"imports run in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("room", ["broker", "common", "models", "device"])
def test_what_runs_on_a_pi_stays_light(room: str) -> None:
    """Neither the device nor the contracts import a heavy package, not even late."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(room)
        for name, line in imports(path)
        if name in NEVER_ON_A_PI
    ]

    assert wrong == []


def decoders_made_late(path: Path) -> Iterator[str]:
    """Yield each function of a file in which msgspec is shown a type."""
    for function in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(function, ast.FunctionDef):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("msgspec."):
                    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
                    typed = name == "decode" and any(keyword.arg == "type" for keyword in call.keywords)
                    if typed or name in {"Decoder", "convert"}:
                        yield f"{path.relative_to(ROOT)}:{function.name}"


def test_types_are_shown_to_msgspec_at_import() -> None:
    """Two threads that show msgspec 0.22 a type for the first time at once end the process (segmentation fault)."""
    late = {
        found
        for room in ("broker", "common", "device", "models", "server")
        for path in files(room)
        for found in decoders_made_late(path)
    }

    assert late == MADE_LATE


def test_the_front_door_loads_no_room_by_itself() -> None:
    """`moodwire --help` needs no room's packages: rooms are imported by name, late; only the ground comes first."""
    wrong = [name for name, _ in imports(ROOT / "moodwire.py") if name in ROOMS - GROUND]

    assert wrong == []


def test_every_folder_with_code_has_its_rule() -> None:
    """A new room needs a line in this table."""
    folders = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests"}

    assert folders == set(MAY_IMPORT)


def test_no_module_is_two_rooms() -> None:
    """No file is longer than about 400 lines, because then it has become two."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [ROOT / "moodwire.py", *(path for room in [*MAY_IMPORT, "tests"] for path in files(room))]
        if (lines := len(path.read_text().splitlines())) > 420
    }

    assert long == {}


def test_only_known_top_level_names_shadow_nothing() -> None:
    """No room has the name of a standard library module."""
    assert not ROOMS & sys.stdlib_module_names
