"""Headers: caching, compression, and what keeps browsers safe."""

import gzip
import json
import re

import pytest
from clients import URL, Client
from records import DEVICE, reading


def test_a_response_about_the_past_is_revalidated(client: Client, now: int) -> None:
    """It is 304 with its ETag until a late reading falls into its range, and never kept without revalidation."""
    for path in (f"{URL}/summary", f"{URL}/events", URL):
        past = f"{path}?start={now / 1000 - 600}&end={now / 1000 + 1}"
        first = client.ask(past)
        assert first.headers["Cache-Control"] == "private, no-cache", path
        again = client.ask(past, if_none_match=first.headers["ETag"])
        assert (again.status_code, again.data) == (304, b"")
    past = f"{URL}/summary?start={now / 1000 - 600}&end={now / 1000 + 1}"
    tag = client.ask(past).headers["ETag"]
    client.store.write([(DEVICE, reading(9, now - 30_000))])
    assert client.ask(past, if_none_match=tag).json["readings"] == 4


def test_a_response_about_now_is_not_stored(client: Client, now: int) -> None:
    """It is `no-store` and has no ETag."""
    for path in ("/api/v1/devices", URL, f"{URL}/summary"):
        headers = client.ask(path).headers
        assert headers["Cache-Control"] == "no-store"
        assert "ETag" not in headers


@pytest.mark.parametrize(
    ("path", "policy"), [("/api/v1/meta", "private, max-age=3600"), ("/api/v1/openapi.json", "no-cache")]
)
def test_meta_and_document_are_revalidated(client: Client, path: str, policy: str) -> None:
    """They are 304 with their ETag."""
    first = client.ask(path)
    assert first.headers["Cache-Control"] == policy
    assert client.ask(path, if_none_match=first.headers["ETag"]).status_code == 304


def test_a_large_response_is_compressed_on_request(client: Client, now: int) -> None:
    """With gzip accepted, the body has a fraction of the bytes; both responses vary by Accept-Encoding."""
    plain = client.ask("/api/v1/openapi.json")
    packed = client.ask("/api/v1/openapi.json", accept_encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 4
    assert json.loads(gzip.decompress(packed.data)) == plain.json
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in client.ask("/api/v1/openapi.json", accept_encoding="gzip;q=0").headers
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


def test_a_png_and_a_small_response_are_not_compressed(client: Client, now: int) -> None:
    """PNG is compressed already, and a small body fits into one packet."""
    for path in (f"{URL}/plots/mean.png", "/livez"):
        assert "Content-Encoding" not in client.ask(path, accept_encoding="gzip").headers


def test_json_and_csv_vary_by_accept(client: Client, now: int) -> None:
    """A cache must not serve the table to a client that wants JSON."""
    for path in (URL, f"{URL}/events"):
        assert "Accept" in client.ask(path).headers["Vary"].split(", ")


def test_the_documentation_loads_nothing_from_elsewhere(client: Client) -> None:
    """The page about the API takes its scripts from this server."""
    page = client.ask(client.ask("/api/v1/docs", token=None).headers["Location"], token=None)
    scripts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert scripts
    assert not [script for script in scripts if "//" in script]


def test_responses_carry_security_headers(client: Client) -> None:
    """A browser may not store, sniff or load anything."""
    headers = client.ask("/api/v1/devices").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
