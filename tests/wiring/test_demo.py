"""`moodwire demo` as a user runs it: it works, it remembers, and it survives what is killed."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from brokers import free_port
from patience import CHILD_S, REPLY_S
from rooms import Room, bearer
from services import wait_until

pytestmark = pytest.mark.slow

CHILDREN = ["broker", "store", "ingest", "REST API", "live events", "dashboard", "device"]


class Demo(Room):
    """A demo on free ports with its data in a folder."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.data = folder / "data"
        self.api = f"http://127.0.0.1:{(api_port := free_port())}"
        self.dashboard = f"http://127.0.0.1:{(dashboard_port := free_port())}"
        ports = {"api_port": api_port, "dashboard_port": dashboard_port}
        ports |= {"mqtt_port": free_port(), "live_port": free_port()}
        super().__init__(folder, "demo", **({"data_dir": self.data} | ports | settings))

    def device(self) -> dict[str, object]:
        """Return the demo's device as REST tells it."""
        token = (self.data / "secrets" / "viewer-token").read_text().strip()
        answer = requests.get(f"{self.api}/api/v1/devices", headers=bearer(token), timeout=REPLY_S)
        devices: list[dict[str, object]] = answer.json()["devices"]
        if not devices:
            return {"readings": 0, "state": "unknown"}
        return requests.get(
            f"{self.api}/api/v1/devices/{devices[0]['mac_address']}", headers=bearer(token), timeout=REPLY_S
        ).json()

    def process_of(self, child: str) -> int:
        """Return the newest process id that the demo has told of a child."""
        label = {"broker": "Mosquitto", "store": "Redis [0-9.]+"}.get(child, child)
        told = re.findall(rf"(?:started {label}|{child} runs again) \(process (\d+)\)", self.log)
        return int(told[-1])


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, Demo, dict[str, str]]:
    """Run the demo for some seconds, twice with the same data; return both, and the secrets after the first."""
    folder = tmp_path_factory.mktemp("demo")
    with Demo(folder, for_s=8) as first:
        assert first.process.wait(CHILD_S) == 0, first.log
    secrets = _secrets(first)
    with Demo(folder, for_s=8) as second:
        assert second.process.wait(CHILD_S) == 0, second.log
    return first, second, secrets


def test_a_timed_demo_reads_back_what_it_stored_and_the_next_one_still_has_it(
    two_runs: tuple[Demo, Demo, dict[str, str]],
) -> None:
    """Exit code 0 means that readings went the whole way; they outlive the demo."""
    _, second, _ = two_runs
    counts = re.findall(r"(\d+) readings of \S+ stored in this run and read back over REST; 0 missing", second.log)
    (_, kept) = re.findall(r"(\d+) readings of it are kept in all", second.log)
    assert len(counts) == 2
    assert min(map(int, counts)) >= 4
    assert int(kept) >= sum(map(int, counts)), "readings of the seconds while the first demo stopped count too"


def test_secrets_are_made_once_and_kept_from_others(two_runs: tuple[Demo, Demo, dict[str, str]]) -> None:
    """No secret is readable by other users, and none changes at the next start."""
    _, second, secrets = two_runs
    assert "viewer-token" in secrets
    assert _secrets(second) == secrets
    for path in (second.data / "secrets").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_demo_survives_the_death_of_each_of_its_parts(tmp_path: Path) -> None:
    """Kill -9 of any child is said, it runs again, and no reading is missing."""
    with Demo(tmp_path) as demo:
        demo.says("moodwire is ready")
        for child in CHILDREN:
            before = _readings(demo)
            os.kill(demo.process_of(child), signal.SIGKILL)
            demo.says(f"{child} died (killed by SIGKILL)")
            demo.says(f"{child} runs again")
            wait_until(
                lambda before=before: _readings(demo) >= before + 2, f"readings go on without {child}: {demo.log}"
            )
        wait_until(lambda: requests.get(f"{demo.dashboard}/livez", timeout=REPLY_S).ok, "the page is back")
        device = demo.device()
        assert demo.stop(signal.SIGINT) == 0, demo.log

    boots = device["boots"]
    assert isinstance(boots, list)
    assert len(boots) == 2, "the device was killed once"
    assert [boot["missing"] for boot in boots] == [0, 0]
    assert device["duplicate_identity"] is False


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    """The user reads which port, and how to choose another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with Demo(tmp_path, api_port=port) as demo:
            assert demo.process.wait(CHILD_S) == 2

    assert re.search(rf"port {port} is taken \(.+\); choose another: API_PORT=", demo.log)
    assert "started" not in demo.log


def test_without_a_microphone_the_demo_says_so_and_ends(tmp_path: Path) -> None:
    """MIC=1 on a machine that has none ends with a sentence in make's words, before anything starts."""
    with Demo(tmp_path, mic="true") as demo:
        code = demo.process.wait(CHILD_S)

    if "moodwire is ready" in demo.log:
        pytest.skip("this machine has a microphone")
    assert code == 2
    assert re.search(
        r"^MIC=1: (no microphone found|PortAudio is missing|no default microphone).*WAV=", demo.log, re.MULTILINE
    )
    assert "started" not in demo.log


def test_files_where_the_demo_is_started_are_not_taken_for_ours(tmp_path: Path) -> None:
    """A folder `moodwire/` and a file `server.py` in the current folder are somebody else's."""
    (tmp_path / "moodwire").mkdir()
    (tmp_path / "moodwire" / "__init__.py").touch()
    for name in ("server", "device", "broker", "redis"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")

    ports = {f"--{name}-port": str(free_port()) for name in ("api", "live", "dashboard", "mqtt")}
    settings = [word for pair in ports.items() for word in pair]
    command = Path(sys.executable).with_name("moodwire")
    clips = Path(__file__).parents[2] / "samples"

    ended = subprocess.run(
        [command, "demo", "--for-s", "6", "--wav", clips, "--data-dir", "data", *settings],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_the_demo_prints_to_try_works(tmp_path: Path) -> None:
    """Each command that the welcome shows answers with data when it is pasted into a shell."""
    with Demo(tmp_path) as demo:
        demo.says("moodwire is ready")
        wait_until(lambda: _readings(demo) > 0, "there are readings")
        lines = [line.strip() for line in demo.log.splitlines() if line.startswith("  ")]
        exports = [line for line in lines if line.startswith("export ")]
        curls = [line for line in lines if line.startswith("curl ") and " -N " not in line]
        scripts = ["; ".join([*exports, f"{line} -fsS"]) for line in curls]
        ended = [
            subprocess.run(["sh", "-c", one], capture_output=True, timeout=CHILD_S, check=False) for one in scripts
        ]

    assert len(curls) == 2
    assert all(one.returncode == 0 and b"mac_address" in one.stdout for one in ended), ended


def _secrets(demo: Demo) -> dict[str, str]:
    """Return the content of each file of a secret."""
    return {path.name: path.read_text() for path in (demo.data / "secrets").iterdir()}


def _readings(demo: Demo) -> int:
    """Return how many readings are stored; 0 while the API is away."""
    try:
        return int(str(demo.device()["readings"]))
    except (requests.RequestException, KeyError):
        return 0
