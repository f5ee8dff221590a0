"""`moodwire server run` serves until it is told to stop, or says why it cannot."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
import requests
from patience import CHILD_S, REPLY_S
from services import RunningStore, wait_until


@pytest.mark.slow
def test_a_taken_port_is_one_sentence_and_code_2(redis_store: RunningStore) -> None:
    """`server run` on a taken port says so, and what to set."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = _run_server(redis_store, taken.getsockname()[1])
        assert done.wait(REPLY_S) == 2
        _, errors = done.communicate()
        assert "free port" in errors
        assert "Traceback" not in errors


@pytest.mark.slow
def test_a_port_that_is_none_is_one_sentence_and_code_2(redis_store: RunningStore) -> None:
    """The system would take its last 16 bits, and REST would listen where nobody looks."""
    done = _run_server(redis_store, 99_999)
    assert done.wait(REPLY_S) == 2
    _, errors = done.communicate()
    assert "api_port 99999 cannot be listened on (port 99999 is none; use 1 to 65535)" in errors


@pytest.mark.slow
def test_more_idle_connections_than_a_hundred_keep_nobody_out(redis_store: RunningStore) -> None:
    """Browsers and monitors that hold connections open do not stop REST from answering others."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = _run_server(redis_store, port)
    try:
        wait_until(lambda: _connects(port), "REST answers")
        with ExitStack() as idle:
            for _ in range(150):
                idle.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert requests.get(f"http://127.0.0.1:{port}/livez", timeout=REPLY_S).ok
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.slow
def test_server_run_serves_and_ends_on_sigterm(redis_store: RunningStore) -> None:
    """The process answers over HTTP and ends with code 0 on SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = _run_server(redis_store, port)
    try:
        wait_until(lambda: _connects(port), "REST answers")
        process.send_signal(signal.SIGTERM)
        assert process.wait(CHILD_S) == 0
    finally:
        process.kill()
        process.communicate()


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _run_server(running: RunningStore, port: int) -> "subprocess.Popen[str]":
    environment = {"MOODWIRE_REDIS_URL": running.url, "MOODWIRE_API_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, "-m", "moodwire", "server", "run"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
