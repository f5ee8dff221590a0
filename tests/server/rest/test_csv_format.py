"""Series and events as CSV: quoted as RFC 4180 says, and empty where there is nothing."""

import csv
import io

import pytest
from clients import URL, Client
from records import DEVICE, status


@pytest.mark.parametrize("asked", [("?format=csv", "*/*"), ("", "text/csv")])
def test_events_as_a_table(client: Client, asked: tuple[str, str]) -> None:
    """Each event is a line, a text with a comma or a quote is quoted, and null is an empty field."""
    query, accept = asked
    client.store.write([(DEVICE, status(model='a "b", c'))])
    response = client.ask(f"{URL}/events{query}", accept=accept)
    assert response.content_type == "text/csv; charset=utf-8; header=present"
    assert response.text.endswith(',online,"a ""b"", c",\r\n')
    (line,) = csv.DictReader(io.StringIO(response.text))
    assert line == {**client.get(f"{URL}/events")["events"][0], "previous_model": ""}


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
