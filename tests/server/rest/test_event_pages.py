"""Events over REST: what each says, and page by page."""

from clients import OPERATOR, URL, Client
from records import DEVICE, OTHER_BOOT, reading, status


def told(client: Client, query: str = "") -> list[tuple[str, str | None, str | None]]:
    """Return kind, model and previous model of a device's events, all in one page."""
    body = client.get(f"{URL}/events{query}")
    return [(event["kind"], event["model"], event["previous_model"]) for event in body["events"]]


def test_each_event_has_its_kind(client: Client) -> None:
    """Online, paused, offline and a new start differ, and so does another model with or without a start."""
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
    """Events before an erasure are gone; its time is that of the receipt."""
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
    """A range has only its own events, and knows the model before them."""
    client.store.write([(DEVICE, status())])
    middle = client.store.now() + 1
    while client.store.now() <= middle:
        pass
    client.store.write([(DEVICE, status(model="other-1"))])
    assert told(client, f"?end={middle / 1000}") == [("online", status().model, None)]
    assert told(client, f"?start={middle / 1000}") == [("model", "other-1", status().model)]


def test_an_invalid_page_token_is_a_problem(client: Client, now: int) -> None:
    """The problem names the token."""
    assert "invalid page_token 'first'" in client.problem(f"{URL}/events?page_token=first", 400)
