"""Every refused request gets one sentence that names what is wrong and says what to do."""

from contextlib import closing
from pathlib import Path

import pytest
from clients import OPERATOR, URL, Client
from records import DEVICE, reading
from services import running_store

from common.bucket import Limit
from common.log_limit import LogLimit
from server.errors import StoreAwayError
from server.rest import error_handlers


@pytest.mark.parametrize(
    ("path", "status_code", "sentence"),
    [
        ("/api/v1/devices/kitchen", 400, "'kitchen' is not a MAC address: write aa:bb:cc:dd:ee:ff or aabbccddeeff"),
        ("/api/v1/devices/112233445566", 404, "there is no device 11:22:33:44:55:66"),
        (f"{URL}?start=yesterday", 400, "start 'yesterday' is not a time"),
        (f"{URL}?start=2026-01-01T00:00:00", 400, "has no time zone"),
        (f"{URL}?end=nan", 400, "end 'nan' is not a time"),
        (f"{URL}?start=200&end=100", 400, "is not before end"),
        (f"{URL}?step=fast", 400, "step 'fast' is not a step"),
        (f"{URL}?step=0s", 400, "step '0s' is not a step"),
        (f"{URL}?step=90s", 400, "use whole minutes"),
        (f"{URL}?start=0&end=86400&step=1s", 400, "use 120s or more"),
        (f"{URL}?strt=0", 400, "unknown parameter 'strt'"),
        (f"{URL}/plots/pie.png", 404, "no plot pie.png"),
        (f"{URL}/plots/mean.gif", 404, "no plot mean.gif"),
        (f"{URL}/plots/mean.png?tz=Mars/Olympus", 400, "unknown time zone 'Mars/Olympus'"),
        ("/api/v1/devices?page_size=0", 400, "invalid page_size '0'"),
        ("/api/v1/nothing", 404, "unknown path '/api/v1/nothing': /api/v1/docs lists the paths"),
        ("/readyz", 503, "ingest is not connected"),
    ],
)
def test_bad_requests_get_one_sentence(client: Client, now: int, path: str, status_code: int, sentence: str) -> None:
    """Each mistake is a problem whose detail names the value and says what to do."""
    assert sentence in client.problem(path, status_code)


def test_a_method_that_is_not_allowed_names_the_allowed_ones(client: Client) -> None:
    """The header Allow and the sentence of a 405 say the same."""
    assert "GET" in client.problem("/api/v1/devices", 405, method="POST", token=OPERATOR)
    assert "GET" in client.ask("/api/v1/devices", "POST", OPERATOR).headers["Allow"]


def test_a_store_that_goes_away_is_503_until_it_is_back(tmp_path: Path) -> None:
    """While the store is away each request is 503 with the reason; afterwards all is as before."""
    with running_store(tmp_path) as running, closing(Client(running)) as client:
        client.store.write([(DEVICE, reading(0, client.store.now()))])
        running.kill()
        assert "does not answer" in client.problem(URL, 503)
        assert client.ask("/livez").status_code == 200
        running.start()
        assert client.get(URL)["readings"] == 1


def test_a_flood_while_the_store_is_away_leaves_few_lines(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asks is told; the log has a few lines, and the number of the others later."""

    def away(*_: object) -> None:
        raise StoreAwayError("the store does not answer")

    monkeypatch.setattr(client.store, "devices", away)
    monkeypatch.setattr(error_handlers, "_lines", LogLimit(Limit(per_s=1 / 60, burst=5)))
    assert {client.ask("/api/v1/devices").status_code for _ in range(100)} == {503}
    assert len([record for record in caplog.records if "answered 503" in record.getMessage()]) == 5
