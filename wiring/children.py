"""Child processes of the demo: started in order, restarted with backoff when they die, stopped at the end."""

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

from common.backoff import Backoff

FIRST_RESTART_S = 0.5
LONGEST_RESTART_S = 10.0
STEADY_S = 30.0
"""The backoff begins anew for a child that ran this long before it died."""
STOP_S = 10.0
"""Time to stop after SIGTERM; then SIGKILL."""
UNUSABLE = 2
"""Exit code of a command that cannot run with its settings; a restart would not help."""
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process to keep running."""

    name: str
    label: str
    """What the user reads when it starts, such as its name and version."""
    argv: list[str]
    environment: dict[str, str]
    """Variables beyond those of this process."""
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    # Without jitter: nothing else starts in step with it, and the user reads round numbers.
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_RESTART_S, LONGEST_RESTART_S, 1.0), init=False)
    started_at_s: float = field(default=0.0, init=False)
    restart_at_s: float | None = field(default=None, init=False)
    """When to restart it; None while it runs."""


class Children:
    """A context in which all children run; they start in order, and stop in reverse order."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children

    def __enter__(self) -> Self:
        """Start all."""
        for child in self._children:
            child.log.parent.mkdir(parents=True, exist_ok=True)
            print(f"started {child.label} (process {_start(child)})", flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all: SIGTERM, and SIGKILL if one does not end."""
        for child in reversed(self._children):
            if child.process is None or child.process.poll() is not None:
                continue
            child.process.terminate()
            try:
                child.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                print(f"{child.name} did not stop in {STOP_S:.0f} s; killed it", flush=True)
                child.process.kill()
                child.process.wait()

    def keep_running(self) -> bool:
        """Restart children that died; return False, after saying why, if one cannot run at all."""
        for child in self._children:
            assert child.process is not None
            code = child.process.poll()
            if code is None:
                continue
            if code == UNUSABLE:
                print(f"{child.name} cannot run: {_last_line(child.log)}", file=sys.stderr, flush=True)
                return False
            _restart(child, code)
        return True


def _restart(child: Child, code: int) -> None:
    """Restart a child that has ended with an exit code, once its pause is over."""
    now_s = time.monotonic()
    if child.restart_at_s is None:
        if now_s - child.started_at_s > STEADY_S:
            child.backoff.reset()
        pause_s = child.backoff.next_s()
        child.restart_at_s = now_s + pause_s
        print(f"{child.name} died ({_cause(code)}); restarting it in {pause_s:.1f} s", flush=True)
    if now_s >= child.restart_at_s:
        child.restart_at_s = None
        print(f"{child.name} runs again (process {_start(child)})", flush=True)


def _start(child: Child) -> int:
    """Start a child and return its process id."""
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
    return child.process.pid


def _die_with_parent() -> None:
    """Have the kernel stop this child when its parent is killed (prctl(2)), so that no port stays taken."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _last_line(log: Path) -> str:
    lines = _tail(log).strip().splitlines()
    return lines[-1] if lines else "its log is empty"


def _tail(log: Path) -> str:
    file: IO[bytes]
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return file.read().decode(errors="replace")
