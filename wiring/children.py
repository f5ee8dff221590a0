"""Keeps the demo's processes running: starts them, says what died, starts it again, stops all at the end."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 10.0
STEADY_S = 30.0
"""A child that ran so long before it died is started again at once."""
STOP_S = 10.0
UNUSABLE = 2
"""Exit code of a command that cannot run with its settings; starting it again would not help."""
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process to keep running."""

    name: str
    label: str
    """For people, when it starts."""
    argv: list[str]
    environment: dict[str, str]
    """Added to this process's own."""
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    restart_s: float = field(default=FIRST_RESTART_S, init=False)
    started_at_s: float = field(default=0.0, init=False)
    due_s: float | None = field(default=None, init=False)
    """When to start it again, after it died."""


class Children:
    """A context in which all children run, in their order; they are stopped in the opposite order."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children

    def __enter__(self) -> Self:
        """Start all."""
        for child in self._children:
            child.log.parent.mkdir(parents=True, exist_ok=True)
            _start(child)
            print(f"started {child.label} (process {child.process.pid if child.process else '?'})", flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all, each with a signal first and by force if that does not help."""
        for child in reversed(self._children):
            if child.process is None or child.process.poll() is not None:
                continue
            child.process.terminate()
            try:
                child.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                print(f"{child.name} does not stop; killed", flush=True)
                child.process.kill()
                child.process.wait()

    def keep_running(self) -> bool:
        """Start again what died; return False if that is of no use, after saying why."""
        for child in self._children:
            assert child.process is not None
            code = child.process.poll()
            if code is None:
                continue
            if code == UNUSABLE:
                print(f"{child.name} cannot run: {_last_line(child.log)}", file=sys.stderr, flush=True)
                return False
            self._revive(child, code)
        return True

    def _revive(self, child: Child, code: int) -> None:
        now_s = time.monotonic()
        if child.due_s is None:
            if now_s - child.started_at_s > STEADY_S:
                child.restart_s = FIRST_RESTART_S
            child.due_s = now_s + child.restart_s
            print(f"{child.name} died ({_cause(code)}); starting it again in {child.restart_s:.1f} s", flush=True)
            child.restart_s = min(child.restart_s * 2, LONGEST_RESTART_S)
        if now_s >= child.due_s:
            child.due_s = None
            _start(child)
            print(f"{child.name} runs again (process {child.process.pid if child.process else '?'})", flush=True)


def _start(child: Child) -> None:
    child.started_at_s = time.monotonic()
    with child.log.open("ab") as log:
        child.process = subprocess.Popen(  # noqa: S603 - our own programs with our own arguments
            child.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | child.environment,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops the children in order
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads are running yet
        )


def _die_with_parent() -> None:
    """Have the kernel stop this child when its parent is killed (prctl(2)), so that no port stays taken."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_line(log: Path) -> str:
    lines = _tail(log).strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def _tail(log: Path) -> str:
    file: IO[bytes]
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return file.read().decode(errors="replace")
