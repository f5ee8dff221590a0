"""REST answers exactly what is written, over a real store, and says in one sentence what is wrong with a request."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from clients import MAC, OPERATOR, URL, Client
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore, running_store, wait_until

from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.web.auth import Guard


def test_devices_lists_what_is_known(client: Client, now: int) -> None:
    """Devices has every field of a device, and the latest reading."""
    (device,) = client.get("/api/v1/devices")["devices"]
    seen = device.pop("first_seen"), device.pop("last_seen")
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in seen)
    assert device == {
        "mac_address": MAC,
        "name": "Kitchen",
        "state": "online",
        "labels": ["ANG", "HAP", "NEU"],
        "model": "ang-hap-neu-1",
        "version": "0.1.0",
        "readings": 3,
        "latest": {
            "at": now,
            "state": "uncertain",
            "scores": {"ANG": 0.4, "HAP": 0.3, "NEU": 0.3},
            "level_dbfs": -23.0,
        },
    }


def test_devices_come_page_by_page(client: Client) -> None:
    """Pages hold each device once, and the last one has no next page."""
    ids = [f"{number:012x}" for number in range(7)]
    client.store.write([(device, status()) for device in ids])
    client.store.erase(ids[3])
    seen, token = [], ""
    while True:
        response = client.ask(f"/api/v1/devices?page_size=2&page_token={token}")
        page = response.json
        seen += [device["mac_address"].replace(":", "") for device in page["devices"]]
        token = page["next_page_token"]
        link = f'</api/v1/devices?page_size=2&page_token={token}>; rel="next"' if token else None
        assert response.headers.get("Link") == link
        if not token:
            break
    assert seen == ids[:3] + ids[4:]


@pytest.mark.parametrize("mac", [MAC, MAC.replace(":", ""), MAC.upper()])
def test_single_device_has_parallel_arrays(client: Client, now: int, mac: str) -> None:
    """SingleDevice gives means on a grid from the first to the last reading, with nulls between."""
    body = client.get(f"/api/v1/devices/{mac}?start={(now - 60_000) / 1000}&end={now / 1000 + 1}&step=5s")
    assert body["mac_address"] == MAC
    assert body["timestamps"] == [now - 20_000 + 5000 * step for step in range(5)]
    assert body["timeseries_ANG"] == [0.7, None, 0.7, None, 0.4]
    assert body["timeseries_NEU"] == [0.1, None, 0.1, None, 0.3]
    assert body["readings_per_step"] == [1, 0, 1, 0, 1]
    assert body["uncertain_per_step"] == [0, 0, 0, 0, 1]
    assert [(boot["boot"], boot["records"], boot["missing"]) for boot in body["boots"]] == [(BOOT, 3, 0)]
    assert (body["step_s"], body["duplicate_identity"], body["health"]) == (5, False, None)


def test_steps_of_a_minute_and_more_come_from_rollups(client: Client, now: int) -> None:
    """Over minutes, hours and days the means are those of the readings, and the range is widened to whole ones."""
    for step, seconds in (("1m", 60), ("1h", 3600), ("1d", 86_400)):
        body = client.get(f"{URL}?start={now / 1000 - 3600}&end={now / 1000 + 60}&step={step}")
        assert body["step_s"] == seconds
        total = sum(
            count * mean
            for count, mean in zip(body["readings_per_step"], body["timeseries_ANG"], strict=True)
            if mean is not None
        )
        assert total == pytest.approx(1.8, abs=1e-3)
        assert all(at % (seconds * 1000) == 0 for at in body["timestamps"])


def test_a_range_without_data_is_an_empty_answer(client: Client, now: int) -> None:
    """An empty range gives empty arrays, a summary of zeros, and plots that say so."""
    asked = "start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00%2B01:00"
    body = client.get(f"{URL}?{asked}")
    assert (body["start"], body["end"]) == ("2020-01-01T00:00:00.000Z", "2020-01-01T23:00:00.000Z")
    assert (body["timestamps"], body["timeseries_ANG"], body["readings_per_step"], body["boots"]) == ([], [], [], [])
    result = client.get(f"{URL}/summary?{asked}")
    assert (result["readings"], result["overall"]) == (0, {"mean_confidence": None, "count": 0})
    assert b"no readings in this range" in client.ask(f"{URL}/plots/mean.svg?{asked}").data


def test_summary_tells_winners_from_scores(client: Client, now: int) -> None:
    """Mean confidence is over the speech that a label won, mean score over all readings, uncertain counted apart."""
    body = client.get(f"{URL}/summary")
    assert body["readings"] == 3
    assert body["labels"]["ANG"] == {
        "mean_confidence": 0.7,
        "mean_score": 0.6,
        "share": 1.0,
        "count": 2,
        "histogram": {
            "edges": [tenth / 10 for tenth in range(11)],
            "won": [0, 0, 0, 0, 0, 0, 0, 2, 0, 0],
            "all": [0, 0, 0, 0, 1, 0, 0, 2, 0, 0],
        },
    }
    assert body["labels"]["HAP"]["mean_confidence"] is None
    assert body["overall"] == {"mean_confidence": 0.7, "count": 2}
    assert body["uncertain"] == {"count": 1, "share": 0.3333}
    assert body["completeness"] == {"received": 3, "missing": 0, "ratio": 1.0}


def test_two_devices_with_one_id_are_told(client: Client, now: int) -> None:
    """Two boots that send in turns for the same time are listed apart and flagged."""
    for boot in (OTHER_BOOT, BOOT):
        since = client.store.now()
        wait_until(lambda since=since: client.store.now() > since, "a millisecond has passed")
        client.store.write([(DEVICE, reading(seq, now - 15_000 + seq, boot=boot)) for seq in (100, 101)])
    body = client.get(URL)
    assert body["duplicate_identity"] is True
    assert {boot["boot"] for boot in body["boots"]} == {BOOT, OTHER_BOOT}


def test_silence_is_a_span(client: Client, now: int) -> None:
    """A silent minute is a span of the range, in RFC 3339."""
    client.store.write([(DEVICE, heard(3, now))])
    (span,) = [span for span in client.get(URL)["spans"] if span["kind"] == "silence"]
    assert span["end"].endswith(":00.000Z")


@pytest.mark.parametrize(
    ("path", "status_code", "sentence"),
    [
        ("/api/v1/devices/kitchen", 400, "'kitchen' is not a MAC address: write aa:bb:cc:dd:ee:ff or aabbccddeeff"),
        ("/api/v1/devices/112233445566", 404, "there is no device 11:22:33:44:55:66"),
        (f"{URL}?start=yesterday", 400, "start 'yesterday' is not a time"),
        (f"{URL}?start=2026-01-01T00:00:00", 400, "has no time zone"),
        (f"{URL}?end=nan", 400, "is not between 1970 and the year 9999"),
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
        ("/api/v1/nothing", 404, "unknown path /api/v1/nothing"),
        ("/readyz", 503, "ingest is not connected"),
    ],
)
def test_bad_requests_get_one_sentence(client: Client, now: int, path: str, status_code: int, sentence: str) -> None:
    """Each mistake is a problem whose detail names the thing and what would be right."""
    assert sentence in client.problem(path, status_code)


def test_a_wrong_method_names_the_right_ones(client: Client) -> None:
    """405 carries Allow, and its sentence says the same."""
    assert "GET" in client.problem("/api/v1/devices", 405, method="POST", token=OPERATOR)
    assert "GET" in client.ask("/api/v1/devices", "POST", OPERATOR).headers["Allow"]


def test_roles_are_kept_apart(client: Client, now: int) -> None:
    """No token and a foreign one are 401, a viewer that deletes is 403, an operator may read too."""
    assert "no token" in client.problem(URL, 401, token=None)
    assert "unknown token" in client.problem(URL, 401, token="x" * 20)
    assert "use an operator token" in client.problem(URL, 403, method="DELETE")
    assert client.ask(URL, token=None).headers["WWW-Authenticate"] == "Bearer"
    assert client.ask(URL, token=OPERATOR).status_code == 200
    assert client.store.device(DEVICE) is not None


def test_delete_answers_a_receipt_and_the_device_is_gone(client: Client, now: int) -> None:
    """Delete erases one device, names how much, and the device is unknown afterwards."""
    receipt = client.ask(URL, "DELETE", OPERATOR).json
    assert (receipt["mac_address"], receipt["generation"], receipt["records_erased"]) == (MAC, 1, 3)
    assert client.get("/api/v1/devices")["devices"] == []
    assert "there is no device" in client.problem(URL, 404)


def test_deleting_everything_needs_a_confirmation(client: Client, now: int) -> None:
    """Without confirm=all nothing is deleted; with it each device has its receipt."""
    client.store.write([("aabbccddeeff", reading(0, now))])
    assert "confirm=all" in client.problem("/api/v1/devices", 400, method="DELETE", token=OPERATOR)
    receipts = client.ask("/api/v1/devices?confirm=all", "DELETE", OPERATOR).json["receipts"]
    assert [receipt["mac_address"] for receipt in receipts] == [MAC, "aa:bb:cc:dd:ee:ff"]
    assert client.get("/api/v1/devices") == {"devices": [], "next_page_token": ""}


def test_the_documentation_loads_nothing_from_elsewhere(client: Client) -> None:
    """The page about the API takes its scripts from this server."""
    page = client.ask(client.ask("/api/v1/docs", token=None).headers["Location"], token=None)
    scripts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert scripts
    assert not [script for script in scripts if "//" in script]


def test_answers_carry_security_headers(client: Client) -> None:
    """Answers are not stored, not sniffed and may load nothing."""
    headers = client.ask("/api/v1/devices").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_store_that_goes_away_is_503_until_it_is_back(tmp_path: Path) -> None:
    """While the store is away every answer is 503 with the reason, and afterwards all is as before."""
    with running_store(tmp_path) as running, closing(Client(running)) as client:
        client.store.write([(DEVICE, reading(0, client.store.now()))])
        running.kill()
        assert "does not answer" in client.problem(URL, 503)
        assert client.ask("/livez").status_code == 200
        running.start()
        assert client.get(URL)["readings"] == 1


def test_tokens_are_made_once_and_kept_hashed(redis_store: RunningStore, capsys: pytest.CaptureFixture[str]) -> None:
    """The first start prints a token for each role and stores only its hash; the second start prints nothing."""
    store = RedisStore(redis_store.url, DAY_MS, DAY_MS)
    Guard(ServerSettings(), store).prepare()
    tokens = re.findall(r"mw_\w+_[\w-]{43}", capsys.readouterr().out)
    assert len(tokens) == 2
    again = Guard(ServerSettings(), store)
    again.prepare()
    assert capsys.readouterr().out == ""
    again.check(f"Bearer {tokens[1]}", "operator")
    assert not [token for token in tokens if token.encode() in b"".join(redis_store.client.hvals("mw:access"))]


def test_a_taken_port_is_one_sentence_and_code_2(redis_store: RunningStore) -> None:
    """`server run` on a port that is taken says so, and what would be right."""
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
