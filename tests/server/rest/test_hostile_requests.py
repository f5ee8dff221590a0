"""Whatever a request holds, the answer is right or a problem in one sentence, never a failure of the server."""

import gzip
import string
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from clients import OPERATOR, URL, VIEWER, Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import DEVICE, reading, status
from services import RunningStore

pytestmark = pytest.mark.slow

ROUTES = [URL, f"{URL}/summary", f"{URL}/events", f"{URL}/plots/timeline.svg", f"{URL}/plots/mean.svg"]
COMMANDS = f"{URL}/commands"
sweep = settings(
    max_examples=60, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
some_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
times = (
    st.datetimes().map(lambda time: f"{time.isoformat()}Z")
    | st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9][Tt _][0-2][0-9]:[0-9]{2}:[0-6][0-9]([Zz]|[+ -][0-9]{2}:[0-9]{2})?")
    | st.floats().map(str)
    | st.integers().map(str)
    | some_text
)
steps = st.from_regex(r"-?[0-9]{1,12}(e[0-9])?[smhdSMHD]?", fullmatch=True) | some_text
media = st.sampled_from(["text/csv", "application/json", "text/*", "*/*", "text/html", "text", "*", "", "/"])
parameters = st.sampled_from(
    ["", ";q=0", ";q=0.5", ";q=1", ";q=nan", ";q=-1", ";q=1e400", ";charset=utf-8", ";;", ";q"]
)
accepts = st.lists(st.tuples(media, parameters).map("".join), max_size=4).map(", ".join)
headers = st.text(string.printable.split("\t")[0])
conditions = st.sampled_from(["Range", "If-None-Match", "If-Modified-Since", "If-Range", "Accept-Encoding"])


@pytest.fixture
def asked(redis_store: RunningStore) -> Iterator[Client]:
    """Return a client of a server with a device that has something of everything."""
    with closing(Client(redis_store, requests_per_minute=0)) as client:
        now = client.store.now()
        client.store.write([(DEVICE, message) for message in (status(), reading(0, now - 1000), reading(1, now))])
        yield client


def check(response: Any) -> None:
    """Check that a response is right, or a problem of one short sentence."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert response.mimetype == "application/problem+json"
        assert response.json["status"] == response.status_code
        detail = response.json["detail"]
        assert detail.isprintable()
        assert 0 < len(detail) < 1200


@sweep
@given(start=times, end=times)
@pytest.mark.parametrize("route", ROUTES)
def test_any_time_is_answered(asked: Client, route: str, start: str, end: str) -> None:
    """No start or end, as text of any kind, makes a route fail."""
    for query in (f"start={quote(start)}", f"end={quote(end)}"):
        check(asked.ask(f"{route}?{query}"))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("end", ["9999-12-31T23:59:59Z", "253402300799.999", "9999-12-31T23:59:59%2B00:01"])
def test_the_last_moments_of_time_mean_now(asked: Client, route: str, end: str) -> None:
    """The end of the year 9999 is no failure, and a range does not go beyond the present."""
    response = asked.ask(f"{route}?end={end}")
    assert response.status_code == 200
    if response.is_json:
        assert response.json["end"] < "2100"


@sweep
@given(step=steps, start=times)
def test_any_step_is_answered(asked: Client, step: str, start: str) -> None:
    """No step makes a series or its plot fail."""
    check(asked.ask(f"{URL}?step={quote(step)}&start={quote(start)}"))
    check(asked.ask(f"{URL}?step={quote(step)}"))


@sweep
@given(accept=accepts | headers)
def test_any_accept_header_is_answered(asked: Client, accept: str) -> None:
    """The answer is JSON or CSV, whatever a client says that it takes."""
    for route in (URL, f"{URL}/events"):
        response = asked.ask(route, accept=accept)
        assert response.status_code == 200
        assert response.mimetype in {"application/json", "text/csv"}


@sweep
@given(zone=some_text | st.sampled_from(["America", "../UTC", "/etc/passwd", "utc", "posixrules", "a" * 5000]))
def test_any_time_zone_is_answered(asked: Client, zone: str) -> None:
    """A zone that is not there is no failure."""
    check(asked.ask(f"{URL}/plots/mean.svg?tz={quote(zone)}"))


@sweep
@given(
    header=headers, name=st.sampled_from(["Range", "If-None-Match", "If-Modified-Since", "If-Range", "Accept-Encoding"])
)
def test_any_conditional_header_is_answered(asked: Client, header: str, name: str) -> None:
    """Conditions and ranges that make no sense are left out."""
    check(asked.ask(f"{URL}/summary?end=1", **{name: header}))


@sweep
@given(path=st.lists(some_text | st.sampled_from(["api", "v1", "devices", DEVICE, ""]), max_size=6).map("/".join))
def test_any_path_is_answered(asked: Client, path: str) -> None:
    """An unknown path is a problem, whatever its characters and slashes."""
    check(asked.ask(f"/{quote(path.lstrip('/'))}"))


@sweep
@given(
    body=st.binary(max_size=50)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | some_text,
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["command", "name", "gate_dbfs", "x"]), inner),
    ).map(lambda value: repr(value).replace("'", '"').encode())
)
def test_any_body_is_answered(asked: Client, body: bytes) -> None:
    """No body of a command makes the server fail."""
    check(post(asked, body))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"[" * 50_000, "the body is nested too deeply"),
        (b'{"a":' * 10_000, "the body is nested too deeply"),
        (b'{"command": "set", "gate_dbfs": NaN}', "NaN is no number in JSON"),
        (b'{"command": "set", "gate_dbfs": -Infinity}', "-Infinity is no number in JSON"),
        (b'{"command": "set", "gate_dbfs": -' + b"1" * 5000 + b"}", "a number has 5001 digits"),
        (b'{"command": "set", "gate_dbfs": 1e999}', "invalid gate_dbfs inf"),
        (b'{"command": "pause", "command": "resume"}', "a key stands twice in one object"),
        ('{"command": "set", "name": "é"}'.encode("latin-1"), "the body cannot be read as JSON ('utf-8' codec"),
        ('{"command": "pause"}'.encode("utf-16"), "the body cannot be read as JSON ('utf-8' codec"),
        (b'{"command": "set", "name": "a\\u0000b"}', "has the invisible character U+0000: leave it out"),
        (b'{"command": "set", "name": "a\\nb"}', "has the invisible character U+000A: leave it out"),
        (b'{"command": "set", "name": "a\\u202eb"}', "has the invisible character U+202E: leave it out"),
        (b'{"command": "set", "name": "a\\ufffeb"}', "has the invisible character U+FFFE: leave it out"),
        (b'{"command": "set", "name": "\\ud800"}', "invalid name '\\ud800'"),
        (b'{"command": "set", "name": "  "}', "has 0 characters: use 1 to 64"),
        (b"", "the body cannot be read as JSON"),
        (b"null", "send a JSON object"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_command_is_refused_in_a_sentence(asked: Client, body: bytes, sentence: str) -> None:
    """Nesting, numbers, keys, encodings and names that no command has are each a 400 that says why."""
    response = post(asked, body)
    assert response.status_code == 400
    assert sentence in response.json["detail"]
    check(response)


def test_a_mark_at_the_beginning_of_a_body_is_left_out(asked: Client) -> None:
    """The byte order mark that some editors write is no mistake; a compressed body is a 415."""
    body = b'{"command": "set", "name": " Hall  2 "}'
    assert post(asked, b"\xef\xbb\xbf" + body).status_code == 202
    compressed = post(asked, gzip.compress(body), {"Content-Encoding": "gzip"})
    assert (compressed.status_code, compressed.mimetype) == (415, "application/problem+json")


@pytest.mark.parametrize("path", [URL, COMMANDS, "/api/v1/devices", f"{URL}/summary"])
@pytest.mark.parametrize("token", [VIEWER, OPERATOR, None])
def test_options_needs_no_role(asked: Client, path: str, token: str | None) -> None:
    """Whoever asks learns which methods a route has, and nothing else."""
    response = asked.ask(path, "OPTIONS", token)
    assert (response.status_code, response.data) == (200, b"")
    assert "OPTIONS" in response.headers["Allow"]


@pytest.mark.parametrize("route", [*ROUTES, "/api/v1/devices", "/api/v1/meta"])
def test_head_is_get_without_a_body(asked: Client, route: str) -> None:
    """HEAD has the status and the headers of GET."""
    query = "?end=1700000000" if route.startswith(URL) else ""
    head, get = asked.ask(f"{route}{query}", "HEAD"), asked.ask(f"{route}{query}")
    assert (head.status_code, head.data) == (200, b"")
    assert (head.content_type, head.headers.get("ETag")) == (get.content_type, get.headers.get("ETag"))
    assert asked.ask(f"{route}?x=1", "HEAD").status_code == 400 if route != "/api/v1/meta" else True


@pytest.mark.parametrize("path", ["/api/v1/devices/", "/api/v1//devices", f"{URL}/summary/", "//api//v1/devices"])
def test_a_slash_too_many_is_named(asked: Client, path: str) -> None:
    """The sentence says which path is meant; no redirect leads to a host that the client named."""
    response = asked.ask(path, host="elsewhere.example")
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")
    assert "Location" not in response.headers
    check(response)


@pytest.mark.parametrize(
    "mac", ["01:23:45:67:89:AB", "0123456789AB", "01%3A23%3a45%3A67%3A89%3Aab", "01-23-45-67-89-ab"]
)
def test_a_mac_address_is_taken_in_every_spelling(asked: Client, mac: str) -> None:
    """Upper case, percent-encoded colons and hyphens name the same device."""
    assert asked.get(f"/api/v1/devices/{mac}")["mac_address"] == "01:23:45:67:89:ab"


def test_a_parameter_is_sent_once(asked: Client) -> None:
    """Of two starts none is meant more than the other."""
    assert "parameter 'start' is there twice: send it once" in asked.problem(f"{URL}?start=0&start=1", 400)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "BREW", "TRACE", "PROPFIND"])
def test_an_unknown_method_is_told_the_known_ones(asked: Client, method: str) -> None:
    """It is a 405 with the header Allow."""
    response = asked.ask(URL, method, OPERATOR)
    assert response.status_code == 405
    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    check(response)


def test_a_tag_among_others_is_found(asked: Client) -> None:
    """A list of tags, weak or strong, or a star, is 304 if the current one is there."""
    for path in (f"{URL}/plots/mean.svg?end=1700000000", f"{URL}/summary?end=1700000000"):
        tag = asked.ask(path).headers["ETag"]
        for tags in (f'"a", {tag}, W/"b"', tag.removeprefix("W/"), "*"):
            assert asked.ask(path, if_none_match=tags).status_code == 304, tags
        assert asked.ask(path, if_none_match='"a", W/"b"').status_code == 200


@pytest.mark.parametrize("name", ["start", "step", "format", "x", "x" * 20_000])
def test_a_long_query_gets_a_short_sentence(asked: Client, name: str) -> None:
    """What is wrong is shown from its beginning, not in its whole length."""
    response = asked.ask(f"{URL}?{name}={'y' * 20_000}")
    check(response)
    assert len(response.json["detail"]) < 300


def post(client: Client, body: bytes, more: dict[str, str] | None = None) -> Any:
    """Return the response to a command with a body."""
    sent = {"Authorization": f"Bearer {OPERATOR}", "Content-Type": "application/json", **(more or {})}
    return client.flask.post(COMMANDS, data=body, headers=sent)
