"""Where a command is started, and what PYTHONPATH names, change nothing: files there are somebody else's."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import ACCOUNTS, free_port
from patience import CHILD_S
from services import wait_until

from broker import embedded

ROOT = Path(__file__).parent.parent
OURS = ("broker", "common", "device", "models", "server")
OTHERS = ("argparse", "attrs", "flask", "logging", "numpy", "paho", "redis", "typing", "typed_settings")
SCRIPT = [str(Path(sys.executable).with_name("moodwire"))]
MODULE = [sys.executable, "-m", "moodwire"]
COMMANDS = {
    ("server", "ingest", "--redis-url", "gopher://x"): "redis_url 'gopher://x' is no address of a store",
    ("device", "run", "--clips", "/no/such/path"): "'/no/such/path' cannot be read",
}


def put(folder: Path, *names: str) -> None:
    """Put Python files into a folder that end whoever imports them."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py is not ours')\n")


def run(start: list[str], words: tuple[str, ...], folder: Path, *python_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "MOODWIRE_STATE_DIR": str(folder / "state")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [*python_path, ROOT]))
    return subprocess.run(
        [*start, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=CHILD_S, check=False
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["moodwire", "python -m moodwire"])
def test_files_in_the_current_folder_are_not_imported(start: list[str], words: tuple[str, ...], tmp_path: Path) -> None:
    """A `server.py`, `redis.py` or `typing.py` beside where a command is started is not taken for the real one."""
    put(tmp_path, *OURS, *OTHERS)
    (tmp_path / "moodwire").mkdir()  # as a checkout has it in its parent folder

    ended = run(start, words, tmp_path)

    assert COMMANDS[words] in ended.stderr
    assert ended.returncode == 2


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("start", [SCRIPT, MODULE], ids=["moodwire", "python -m moodwire"])
def test_rooms_are_ours_whatever_pythonpath_names(start: list[str], words: tuple[str, ...], tmp_path: Path) -> None:
    """A `server.py` in a folder of the user's PYTHONPATH does not hide our `server/`."""
    put(tmp_path / "theirs", *OURS)

    ended = run(start, words, tmp_path, tmp_path / "theirs")

    assert COMMANDS[words] in ended.stderr
    assert ended.returncode == 2


def test_the_embedded_broker_imports_nothing_from_the_current_folder(tmp_path: Path) -> None:
    """An `amqtt.py` or `typing.py` beside where the demo is started does not end its broker."""
    put(tmp_path, "amqtt", "yaml", "typing", "logging")
    start = embedded.prepare_amqtt(tmp_path / "broker", "127.0.0.1", port := free_port(), ACCOUNTS)

    with subprocess.Popen(start.argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as broker:
        try:
            wait_until(lambda: broker.poll() is not None or _accepts(port), "it listens or has ended")
            code = broker.poll()
        finally:
            broker.terminate()
            said = broker.stderr.read() if broker.stderr else ""

    assert code is None, said


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
