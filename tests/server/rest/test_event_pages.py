"""A device's history can be read change by change, from the store and over REST, and as tables."""

import csv
import io

import pytest
from clients import OPERATOR, URL, Client
from records import DEVICE, OTHER_BOOT, reading, status
from services import RunningStore

from server.store.redis_store import RedisStore


def test_changes_are_read_page_by_page(any_store: RunningStore) -> None:
    """Pages of one change each hold every change once, in order, and know the one before."""
    store = RedisStore(any_store.url, 1, 1)
    store.prepare()
    said = [status(), status(state="paused", connection=2), status(boot=OTHER_BOOT, model="other-1")]
    store.write([(DEVICE, message) for message in said])
    end = store.now() + 1
    before, changes = store.event_page(DEVICE, 0, end, "", 10)
    assert before is None
    assert [(change.state, change.model) for change in changes] == [(each.state, each.model) for each in said]

    after, pages = "", []
    while page := store.event_page(DEVICE, 0, end, after, 1)[1]:
        assert store.event_page(DEVICE, 0, end, after, 1)[0] == (pages[-1] if pages else None)
        pages += page
        after = page[-1].id
    assert pages == changes
    assert store.event_page(DEVICE, end, end + 10, "", 1) == (changes[-1], [])
    assert store.event_page(DEVICE, end, end + 10, "0-0", 1) == (changes[-1], [])


def told(client: Client, query: str = "") -> list[tuple[str, str | None, str | None]]:
    """Return kind, model and previous model of a device's events, all in one page."""
    body = client.get(f"{URL}/events{query}")
    return [(event["kind"], event["model"], event["previous_model"]) for event in body["events"]]


def test_events_say_what_changed(client: Client) -> None:
    """Coming, pausing, going, a start, and another model while running or by a start are told from each other."""
    said = [
        status(),
        status(state="paused", connection=2),
        status(connection=3),
        status(connection=4, model="other-1"),
        status(connection=4, model="other-1", state="offline"),
        status(boot=OTHER_BOOT),
    ]
    client.store.write([(DEVICE, message) for message in said])
    usual = said[0].model
    assert told(client) == [
        ("online", usual, None),
        ("paused", usual, None),
        ("online", usual, None),
        ("model", "other-1", usual),
        ("offline", "other-1", None),
        ("online", usual, "other-1"),
    ]


def test_an_erasure_is_the_first_event_of_what_follows(client: Client) -> None:
    """What was before an erasure is gone from the events too; its time is that of the receipt."""
    now = client.store.now()
    client.store.write([(DEVICE, status()), (DEVICE, reading(0, now))])
    receipt = client.ask(URL, "DELETE", OPERATOR).json
    client.store.write([(DEVICE, status(connection=2)), (DEVICE, reading(1, now, gen=1))])
    erased, online = client.get(f"{URL}/events")["events"]
    assert (erased["kind"], erased["at"], erased["model"]) == ("erased", receipt["erased_at"], None)
    assert (online["kind"], online["previous_model"]) == ("online", None)
    assert told(client, "?end=2020-01-01T00:00:00Z") == []


def test_events_come_page_by_page(client: Client) -> None:
    """Pages of every size hold each event once and in order, and link to the next."""
    now = client.store.now()
    client.store.write([(DEVICE, reading(0, now))])
    client.store.erase(DEVICE)
    statuses = [(DEVICE, status(connection=number, model=f"m-{number}")) for number in range(5)]
    client.store.write([*statuses, (DEVICE, reading(1, now, gen=1))])
    everything = client.get(f"{URL}/events")["events"]
    assert [event["model"] for event in everything] == [None, "m-0", "m-1", "m-2", "m-3", "m-4"]
    for size in range(1, 7):
        events, path = [], f"{URL}/events?page_size={size}"
        while path:
            response = client.ask(path)
            events += response.json["events"]
            link = response.headers.get("Link", "")
            assert bool(link) == bool(response.json["next_page_token"])
            path = link.removeprefix("<").removesuffix('>; rel="next"')
        assert events == everything


def test_events_of_a_range(client: Client) -> None:
    """A range holds only its own events, and knows of the model before it."""
    client.store.write([(DEVICE, status())])
    middle = client.store.now() + 1
    while client.store.now() <= middle:
        pass
    client.store.write([(DEVICE, status(model="other-1"))])
    assert told(client, f"?end={middle / 1000}") == [("online", status().model, None)]
    assert told(client, f"?start={middle / 1000}") == [("model", "other-1", status().model)]


def test_a_page_token_that_is_none_is_a_problem(client: Client, now: int) -> None:
    """A token of nowhere is 400 and names itself."""
    assert "invalid page_token 'first'" in client.problem(f"{URL}/events?page_token=first", 400)


@pytest.mark.parametrize("asked", [("?format=csv", "*/*"), ("", "text/csv")])
def test_events_as_a_table(client: Client, asked: tuple[str, str]) -> None:
    """As CSV each event is a line, a text with a comma or a quote is quoted, and nothing is an empty field."""
    query, accept = asked
    client.store.write([(DEVICE, status(model='a "b", c'))])
    response = client.ask(f"{URL}/events{query}", accept=accept)
    assert response.content_type == "text/csv; charset=utf-8; header=present"
    assert response.text.endswith(',online,"a ""b"", c",\r\n')
    (line,) = csv.DictReader(io.StringIO(response.text))
    assert line == {**client.get(f"{URL}/events")["events"][0], "previous_model": ""}


def test_a_series_as_a_table(client: Client, now: int) -> None:
    """As CSV a series has a line for each step with the values of its arrays; steps without readings are empty."""
    query = f"start={(now - 60_000) / 1000}&end={now / 1000 + 1}&step=5s"
    body = client.get(f"{URL}?{query}")
    response = client.ask(f"{URL}?{query}&format=csv")
    lines = list(csv.DictReader(io.StringIO(response.text)))
    assert [line["timeseries_ANG"] for line in lines] == ["0.7", "", "0.7", "", "0.4"]
    assert [int(line["readings_per_step"]) for line in lines] == body["readings_per_step"]
    assert lines[0]["time"].endswith("Z")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{DEVICE}.csv"'


def test_an_empty_range_as_a_table_is_the_header(client: Client, now: int) -> None:
    """Where there is nothing, a table has its header and no line."""
    header = "time,timeseries_ANG,timeseries_HAP,timeseries_NEU,readings_per_step,uncertain_per_step\r\n"
    assert client.ask(f"{URL}?format=csv&start=0&end=1").text == header
    assert client.ask(f"{URL}/events?format=csv&end=1").text == "at,kind,model,previous_model\r\n"
