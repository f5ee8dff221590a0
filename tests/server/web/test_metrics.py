"""Metrics count requests, records and devices in Prometheus' format."""

from contextlib import closing
from pathlib import Path

from clients import OPERATOR, URL, Client
from prometheus_client.parser import text_string_to_metric_families
from records import DEVICE, reading, status
from services import running_store

from server.store.types import IngestState


def samples(client: Client) -> dict[tuple[str, ...], float]:
    """Return what /metrics says, as Prometheus' own parser reads it: name and values of the sorted labels → value."""
    response = client.ask("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route(client: Client, now: int) -> None:
    """All paths of a route are one series, whatever addresses and methods clients make up."""
    for path in (URL, URL.replace("ab", "AB"), "/api/v1/devices/112233445566", "/no/such/page", "/api/v1/devices"):
        client.ask(path)
    client.ask("/another", "BREW")
    found = samples(client)
    route = "/api/v1/devices/<mac>"
    assert found["moodwire_http_requests_total", "GET", route, "2xx"] == 2
    assert found["moodwire_http_requests_total", "GET", route, "4xx"] == 1
    assert found["moodwire_http_requests_total", "any", "none", "4xx"] == 2
    assert found["moodwire_http_request_duration_seconds_count", route] == 3
    assert found["moodwire_http_request_duration_seconds_bucket", "+Inf", route] == 3
    assert found["process_resident_memory_bytes",] > 1e6
    assert any(key[0] == "moodwire_build_info" for key in found)


def test_devices_and_records_are_counted(client: Client, now: int) -> None:
    """Devices are counted by state, records by outcome, and readings fall with a Delete."""
    bad = reading(8, now + 3_600_000)
    client.store.write([(DEVICE, reading(0, now)), (DEVICE, reading(7, now)), (DEVICE, bad)])
    client.store.write([(DEVICE, reading(9, now + 2 * 86_400_000))])
    client.store.write([("aabbccddeeff", status(state="offline"))])
    client.store.heartbeat(60, malformed=2)
    found = samples(client)
    assert (found["moodwire_store_up",], found["moodwire_ingest_up",]) == (1, 1)
    states = [found["moodwire_devices", state] for state in ("online", "offline", "paused", "unknown")]
    assert states == [1, 1, 0, 0]
    assert found["moodwire_readings",] == 4
    outcomes = ("stored", "repeat", "expired", "erased", "refused", "later", "malformed")
    assert [found["moodwire_records_total", outcome] for outcome in outcomes] == [4, 1, 0, 0, 1, 1, 2]
    assert found["moodwire_clock_doubted",] == 0
    assert (found["moodwire_swept_timestamp_seconds",], found["moodwire_sweeps_put_off_total",]) == (0, 0)

    client.store.heartbeat(60, state=IngestState("server", "the clocks differ"))
    client.store.retention.end(1_700_000_000_500, 0)
    client.store.retention.put_off("the clocks differ")
    client.ask(URL, "DELETE", OPERATOR)
    found = samples(client)
    assert found["moodwire_records_total", "stored"] == 4
    assert found["moodwire_readings",] == 0
    assert found["moodwire_clock_doubted",] == 1
    assert (found["moodwire_swept_timestamp_seconds",], found["moodwire_sweeps_put_off_total",]) == (1_700_000_000.5, 1)


def test_metrics_are_there_while_the_store_is_away(tmp_path: Path) -> None:
    """A store that is away is a metric, not an error."""
    with running_store(tmp_path) as running, closing(Client(running)) as client:
        running.kill()
        found = samples(client)
        assert found["moodwire_store_up",] == 0
        assert ("moodwire_ingest_up",) not in found
