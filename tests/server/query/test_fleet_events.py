"""Events of all devices, the newest first."""

from clients import OPERATOR, URL, Client
from records import DEVICE, reading, status

OTHERS = ["0000000000a1", "0000000000a2"]


def tell(client: Client) -> None:
    """Have three devices come and go, one of them often."""
    for connection in range(1, 21):
        client.store.write([(DEVICE, status(connection=connection, state="offline" if connection % 2 else "online"))])
        if connection % 10 == 0:
            client.store.write([(other, status(connection=connection, name=other)) for other in OTHERS])


def pages(client: Client, size: int) -> list[dict[str, str]]:
    """Return all events, page by page."""
    found, token = [], ""
    while True:
        page = client.get(f"/api/v1/events?page_size={size}&page_token={token}")
        assert len(page["events"]) <= size
        found += page["events"]
        token = page["next_page_token"]
        if not token:
            return found


def test_pages_of_any_size_hold_each_event_once_in_order(client: Client) -> None:
    """With one event a page or all on one, the same events come, none twice; each names its device."""
    tell(client)
    whole = pages(client, 1000)
    assert [event["at"] for event in whole] == sorted((event["at"] for event in whole), reverse=True)
    own = [event for event in whole if event["name"] == "Kitchen"]
    theirs = client.get(f"{URL}/events")["events"]
    assert [event["kind"] for event in own] == [event["kind"] for event in reversed(theirs)]
    assert {event["mac_address"] for event in whole} == {"01:23:45:67:89:ab", "00:00:00:00:00:a1", "00:00:00:00:00:a2"}
    for size in (1, 3, 8, 21):
        assert pages(client, size) == whole


def test_an_erasure_is_an_event_of_the_fleet(client: Client) -> None:
    """It stands after what the device said since, and its range can be asked for."""
    client.store.write([(DEVICE, status()), (DEVICE, reading(0, client.store.now()))])
    erased_at = client.ask(URL, "DELETE", OPERATOR).json["erased_at"]
    client.store.write([(DEVICE, status(connection=2)), (DEVICE, reading(1, client.store.now(), gen=1))])

    assert [event["kind"] for event in pages(client, 1)] == ["online", "erased"]
    assert client.get(f"/api/v1/events?end={erased_at}")["events"] == []
    client.problem("/api/v1/events?page_token=x", 400)
