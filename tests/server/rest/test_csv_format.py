"""Series and events as CSV: quoted as RFC 4180 says, and empty where there is nothing."""

import csv
import io

import pytest
from clients import URL, Client
from records import DEVICE, status


@pytest.mark.parametrize(
    "asked",
    [
        ("?format=csv", "*/*"),
        ("", "text/csv"),
        ("", "text/csv; charset=utf-8"),
        ("", "text/csv;charset=utf-8;header=present;q=0.9, application/json;q=0.8"),
        ("", "text/*"),
        ("", "application/json;q=0.5, text/csv"),
        ("", "application/json;q=0, */*"),
    ],
)
def test_events_as_a_table(client: Client, asked: tuple[str, str]) -> None:
    """Each event is a line, a text with a comma or a quote is quoted, and null is an empty field."""
    query, accept = asked
    client.store.write([(DEVICE, status(model='a "b", c'))])
    response = client.ask(f"{URL}/events{query}", accept=accept)
    assert response.content_type == "text/csv; charset=utf-8; header=present"
    assert response.text.endswith(',online,"a ""b"", c",\r\n')
    (line,) = csv.DictReader(io.StringIO(response.text))
    assert line == {**client.get(f"{URL}/events")["events"][0], "previous_model": ""}


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/*", "text/html, */*;q=0.8", "text/csv;q=0", "text/csv;q=0.5, application/json", "csv"],
)
def test_whoever_does_not_prefer_csv_gets_json(client: Client, now: int, accept: str) -> None:
    """JSON is the answer to everything, to what nobody has, and to what JSON fits better."""
    assert client.ask(f"{URL}/events", accept=accept).mimetype == "application/json"


@pytest.mark.parametrize("model", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", " =1"])
def test_no_cell_is_a_formula(client: Client, model: str) -> None:
    """A model's name that a spreadsheet would calculate has an apostrophe before it; a newline stays in its line."""
    client.store.write([(DEVICE, status(model=model)), (DEVICE, status(connection=2, model="a\r\nb\0"))])
    lines = list(csv.DictReader(io.StringIO(client.ask(f"{URL}/events?format=csv").text, newline="")))
    assert [line["model"] for line in lines] == [f"'{model}", "a\ufffd\ufffdb\ufffd"]


def test_a_series_as_a_table(client: Client, now: int) -> None:
    """Each step is a line with the values of the arrays; a step without readings has empty fields."""
    query = f"start={(now - 60_000) / 1000}&end={now / 1000 + 1}&step=5s"
    body = client.get(f"{URL}?{query}")
    response = client.ask(f"{URL}?{query}&format=csv")
    lines = list(csv.DictReader(io.StringIO(response.text)))
    assert [line["timeseries_ANG"] for line in lines] == ["0.7", "", "0.7", "", "0.4"]
    assert [int(line["readings_per_step"]) for line in lines] == body["readings_per_step"]
    assert lines[0]["time"].endswith("Z")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{DEVICE}.csv"'


def test_an_empty_range_is_the_header(client: Client, now: int) -> None:
    """A table without rows has only its header."""
    header = "time,timeseries_ANG,timeseries_HAP,timeseries_NEU,readings_per_step,uncertain_per_step\r\n"
    assert client.ask(f"{URL}?format=csv&start=0&end=1").text == header
    assert client.ask(f"{URL}/events?format=csv&end=1").text == "at,kind,model,previous_model\r\n"
