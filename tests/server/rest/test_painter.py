"""Plots are drawn beside the other requests, and too many are refused."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import requests
from clients import OPERATOR, URL, VIEWER, Client
from patience import REPLY_S
from services import wait_until

from common import listening
from server.rest import plots, serve

NO_PLOT = b"drawn"
REQUESTS = 24


class Answer(NamedTuple):
    """What is left of a response once its connection is closed."""

    status: int
    content: bytes
    headers: Mapping[str, str]


@contextmanager
def served(client: Client) -> Iterator[str]:
    """Serve the client's application as `moodwire server run` does, and give its address."""
    server = listening.create_server(client.flask.application, "127.0.0.1", 0, threads=serve._THREADS)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield listening.url(server, "127.0.0.1")
    finally:
        server.close()
        thread.join(REPLY_S)


def test_plots_in_parallel_keep_no_other_request_waiting(
    client: Client, now: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While no plot gets finished, the rest is answered; of too many plots each token gets some, the others 503."""
    finish = threading.Event()
    monkeypatch.setattr(plots, "render", lambda _figure, _form: finish.wait(REPLY_S) and NO_PLOT)

    def ask(place: str, path: str, token: str = VIEWER) -> Answer:
        with requests.get(f"{place}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=REPLY_S) as response:
            return Answer(response.status_code, response.content, response.headers)

    with (
        caplog.at_level(logging.WARNING),
        served(client) as place,
        ThreadPoolExecutor(2 * REQUESTS) as pool,
    ):
        try:
            plot = f"{URL}/plots/mean.png?start="
            asked = [pool.submit(ask, place, f"{plot}{number}") for number in range(REQUESTS)]
            wait_until(lambda: sum(one.done() for one in asked) >= REQUESTS - 6, "all but six plots are answered")
            others = [pool.submit(ask, place, f"{plot}{number}", OPERATOR) for number in range(REQUESTS)]
            wait_until(lambda: sum(one.done() for one in others) >= REQUESTS - 2, "all but two plots are answered")

            for path in ("/livez", URL, "/api/v1/devices"):
                assert ask(place, path).status == 200
        finally:
            finish.set()
        answers = [one.result() for one in asked + others]

    assert [answer.content for answer in answers if answer.status == 200] == [NO_PLOT] * 8
    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) == 2 * REQUESTS - 8
    assert {answer.headers["Content-Type"] for answer in refused} == {"application/problem+json"}
    assert {answer.headers["Retry-After"] for answer in refused} == {"5"}
    assert json.loads(refused[0].content)["detail"] == (
        "6 plots wait to be drawn, 6 of them for this token; 8 and 6 may: try again in 5 s"
    )
    assert [record.getMessage() for record in caplog.records] == []


def test_a_plot_that_cannot_be_drawn_gives_its_place_back(
    client: Client, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault at drawing costs one answer, not a place."""
    with monkeypatch.context() as patch:
        patch.delattr(plots, "render")
        assert [client.ask(f"{URL}/plots/mean.png").status_code for _ in range(9)] == [500] * 9
    assert client.ask(f"{URL}/plots/mean.png").status_code == 200
