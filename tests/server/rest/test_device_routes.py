"""Devices, series, summaries and Delete, over a real store."""

import logging
import re

import pytest
from clients import MAC, OPERATOR, URL, VIEWER, Client
from records import BOOT, DEVICE, OTHER_BOOT, heard, reading, status
from services import wait_until


def test_devices_lists_each_device(client: Client, now: int) -> None:
    """A device has all its fields and its latest reading."""
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
        "baseline": None,
        "concerns": [],
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


def test_a_range_without_data_is_empty(client: Client, now: int) -> None:
    """An empty range gives empty arrays, a summary of zeros, and plots that say so."""
    asked = "start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00%2B01:00"
    body = client.get(f"{URL}?{asked}")
    assert (body["start"], body["end"]) == ("2020-01-01T00:00:00.000Z", "2020-01-01T23:00:00.000Z")
    assert (body["timestamps"], body["timeseries_ANG"], body["readings_per_step"], body["boots"]) == ([], [], [], [])
    result = client.get(f"{URL}/summary?{asked}")
    assert (result["readings"], result["overall"]) == (0, {"mean_confidence": None, "count": 0})
    assert b"no readings in this range" in client.ask(f"{URL}/plots/mean.svg?{asked}").data


def test_a_summary_counts_winners_and_scores_apart(client: Client, now: int) -> None:
    """Mean confidence is over the speech that a label won, mean score over all readings."""
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


def test_two_devices_with_one_id_are_flagged(client: Client, now: int) -> None:
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


def test_delete_answers_a_receipt_and_the_device_is_gone(client: Client, now: int) -> None:
    """The receipt has the number of erased records, and the device is unknown afterwards."""
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


def test_delete_leaves_a_line_in_the_audit_log(client: Client, now: int, caplog: pytest.LogCaptureFixture) -> None:
    """The line has device, records, token and receipt; a refused Delete erases nothing and leaves no line."""
    with caplog.at_level(logging.INFO, "moodwire.audit"):
        client.ask(URL, "DELETE", VIEWER)
        assert caplog.messages == []
        receipt = client.ask(URL, "DELETE", OPERATOR).json["receipt"]
    (line,) = caplog.messages
    assert f"erased {MAC}: 3 records, generation 1, receipt {receipt}" in line
    assert re.search(r"receipt \S+, asked by .*operator.* from 127\.0\.0\.1$", line)


def test_of_many_boots_the_newest_are_listed(client: Client, now: int) -> None:
    """A device that restarts all the time has a hundred boots in the answer, and the number of the others."""
    boots = [(DEVICE, reading(0, now - 1250 + n, boot=f"{n:016x}")) for n in range(1000, 1250)]
    client.store.write(boots)
    body = client.get(f"{URL}?start={(now - 1000) / 1000}&end={(now + 1000) / 1000}")
    assert [boot["boot"] for boot in body["boots"]] == [f"{n:016x}" for n in range(1150, 1250)]
    assert body["older_boots"] == 151
