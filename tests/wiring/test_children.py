"""Child processes are restarted with backoff when they die, or given up with the reason."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from services import wait_until

from wiring.children import Child, Children

FOREVER = "import time; print('up', flush=True); time.sleep(600)"


def child(folder: Path, program: str, name: str = "room") -> Child:
    """Return a child that runs a Python program."""
    return Child(
        name=name,
        label=name,
        argv=[sys.executable, "-c", program],
        environment={"MOODWIRE_TEST": "given"},
        log=folder / f"{name}.log",
    )


def pid(one: Child) -> int:
    """Return the process id."""
    assert one.process is not None
    return one.process.pid


def test_a_killed_child_is_named_with_the_cause_and_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kill -9 of one child leads to a sentence and a new process, and leaves the others alone."""
    one, other = child(tmp_path, FOREVER, "one"), child(tmp_path, FOREVER, "other")
    with Children([one, other]) as children:
        first, others = pid(one), pid(other)
        assert one.process is not None
        one.process.send_signal(signal.SIGKILL)
        wait_until(lambda: children.keep_running() and pid(one) != first, "the child runs again")
        assert pid(other) == others

    said = capsys.readouterr().out
    assert "one died (killed by SIGKILL); restarting it in 0.5 s" in said
    assert f"one runs again (process {pid(one)})" in said


def test_pauses_grow_for_a_child_that_dies_again_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A child that cannot stay up is not started in a tight loop."""
    one = child(tmp_path, "raise SystemExit(3)")
    with Children([one]) as children:
        said = ""

        def died_twice() -> bool:
            nonlocal said
            children.keep_running()
            said += capsys.readouterr().out
            return said.count("died") == 2

        wait_until(died_twice, "it died twice")

    assert "room died (exit code 3); restarting it in 0.5 s" in said
    assert "room died (exit code 3); restarting it in 1.0 s" in said


def test_a_child_that_cannot_run_ends_everything_with_its_last_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 means that starting again is of no use; the user reads why."""
    one = child(tmp_path, "print('starting'); print('port 1 is taken'); raise SystemExit(2)")
    with Children([one]) as children:
        wait_until(lambda: not children.keep_running(), "it gives up")

    assert capsys.readouterr().err == "room cannot run: port 1 is taken\n"


def test_all_are_stopped_at_the_end(tmp_path: Path) -> None:
    """Leaving the context ends every child, the last one first."""
    children = [child(tmp_path, FOREVER, name) for name in ("a", "b")]
    with Children(children):
        wait_until(lambda: all("up" in one.log.read_text() for one in children), "both are up")

    assert [one.process and one.process.returncode for one in children] == [-signal.SIGTERM, -signal.SIGTERM]


def test_a_child_gets_its_settings_and_its_log_is_kept(tmp_path: Path) -> None:
    """The environment reaches the child; its output is appended to the log over restarts."""
    (tmp_path / "room.log").write_text("of yesterday\n")
    one = child(tmp_path, "import os, time; print(os.environ['MOODWIRE_TEST'], flush=True); time.sleep(600)")
    with Children([one]):
        wait_until(lambda: one.log.read_text() == "of yesterday\ngiven\n", "the child has written")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_children_of_a_killed_parent_end(tmp_path: Path) -> None:
    """Kill -9 of the demo itself leaves no process behind that holds a port."""
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from wiring.children import Child, Children\n"
        f"one = Child(name='one', label='one', argv=[sys.executable, '-c', {FOREVER!r}], environment={{}},\n"
        "            log=Path(sys.argv[1]) / 'one.log')\n"
        "with Children([one]): print(one.process.pid, flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parents[2])], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        grandchild = int(parent.stdout.readline())
        wait_until(lambda: "up" in (tmp_path / "one.log").read_text(), "the child is up")
        parent.kill()
    wait_until(lambda: not _runs(grandchild), "the child has ended")


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_nothing_is_started_before_it_is_due(tmp_path: Path) -> None:
    """A dead child waits for its pause, however often one looks."""
    one = child(tmp_path, "raise SystemExit(3)")
    with Children([one]) as children:
        wait_until(lambda: one.process and one.process.poll() is not None, "it died")
        died, first = time.monotonic(), pid(one)
        wait_until(lambda: children.keep_running() and pid(one) != first, "it was started again")

    assert time.monotonic() - died >= 0.45
