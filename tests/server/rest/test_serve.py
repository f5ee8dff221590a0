"""`moodwire server run` serves until it is told to stop, or says why it cannot."""

import os
import signal
import socket
import subprocess
import sys

from services import RunningStore, wait_until


def test_a_taken_port_is_one_sentence_and_code_2(redis_store: RunningStore) -> None:
    """`server run` on a taken port says so, and what to set."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = _run_server(redis_store, taken.getsockname()[1])
        assert done.wait(60) == 2
        _, errors = done.communicate()
        assert "free port" in errors
        assert "Traceback" not in errors


def test_server_run_serves_and_ends_on_sigterm(redis_store: RunningStore) -> None:
    """The process answers over HTTP and ends with code 0 on SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = _run_server(redis_store, port)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, "REST answers")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.communicate()


def _run_server(running: RunningStore, port: int) -> "subprocess.Popen[str]":
    environment = {"MOODWIRE_REDIS_URL": running.url, "MOODWIRE_API_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-m", "moodwire", "server", "run"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
