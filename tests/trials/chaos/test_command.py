"""`moodwire chaos` breaks the whole system on purpose; here in its shortest form."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import CHILD_S

from trials.chaos import results
from trials.chaos.command import KEPT
from trials.chaos.registry import FAULTS

ROOT = Path(__file__).parents[3]
PLAN = """
[[schedule]]
devices = 3
step = [
    { fault = "store-killed", at_s = 0.5, for_s = 0.5 },
    { fault = "broker-without-database", at_s = 1.0, for_s = 0.3 },
    { fault = "device-power-cut", at_s = 1.0, for_s = 0.2, device = 1 },
    { fault = "erased-while-away", at_s = 1.5, for_s = 1.0, device = 2 },
    { fault = "ingest-killed", at_s = 2.0, for_s = 0.2 },
]
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "moodwire", "chaos", *words],
        capture_output=True,
        text=True,
        timeout=CHILD_S,
        check=False,
        env=os.environ | {"XDG_CONFIG_HOME": "/nonexistent"},
        cwd=ROOT,
    )


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_while_five_things_fail(tmp_path: Path) -> None:
    """Store, broker, ingest and devices fail at once; every record is accounted for, and the report says so."""
    (tmp_path / "plan.toml").write_text(PLAN)
    kept = tmp_path / "kept.json"

    done = run("--plan", str(tmp_path / "plan.toml"), "--out", str(tmp_path), "--results", str(kept))

    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = results.read(kept).alone
    assert row.confirmed > 0
    assert {"erased", "lost with the power"} >= row.given_up.keys()
    assert (tmp_path / "chaos.png").read_bytes().startswith(b"\x89PNG")
    assert f"| {row.produced:,} | {row.confirmed:,} | {row.stored:,} |" in (tmp_path / "chaos.md").read_text()


def test_all_faults_are_listed() -> None:
    """Each with what it does."""
    done = run("--list")

    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*FAULTS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--plan", "/no/such/plan"), "plan /no/such/plan cannot be used: No such file or directory"),
        (("--only", "flood"), "only has 'flood', which is no fault"),
        (("--devices", "0"), "devices is 0; use 1 to 100"),
        (("--seed", "-5"), "seed is -5; use 0 or more"),
        (("report", "--results", "/no/such/results"), "/no/such/results keeps no results"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    """Nothing is started."""
    done = run(*words)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_is_that_of_the_results() -> None:
    """`moodwire chaos report --out docs` writes it."""
    assert (ROOT / "docs" / "chaos.md").read_text() == results.page(results.read(KEPT))
