"""Strips of all devices come in one call, on one grid, and are what SingleDevice says of each."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from clients import Client
from records import DEVICE, heard, reading, status

from server.store import keys
from server.store.rollups import MINUTE
from server.store.types import Word

MINUTE_MS = 60_000
OTHER = "0123456789ff"


def ms(time: str) -> int:
    """Return RFC 3339 as Unix ms."""
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def test_each_device_has_its_strip_on_one_grid(client: Client) -> None:
    """Counts and means stand where they belong, and are those of SingleDevice; who was silent has a strip of zeros."""
    now = client.store.now()
    first = now // MINUTE_MS * MINUTE_MS - 10 * MINUTE_MS
    told = [(DEVICE, status()), (OTHER, status(name="Porch"))]
    told += [
        (DEVICE, reading(seq, first + seq * 1000, state="uncertain" if seq % 4 == 0 else "speech")) for seq in range(90)
    ]
    client.store.write(told)

    body = client.get("/api/v1/strips")
    mine, other = body["strips"]
    place = (first - ms(body["start"])) // MINUTE_MS

    assert (body["step_s"], ms(body["end"]) - ms(body["start"])) == (60, 61 * MINUTE_MS)
    assert (mine["mac_address"], other["mac_address"]) == ("01:23:45:67:89:ab", "01:23:45:67:89:ff")
    assert mine["readings"][place : place + 2] == [60, 30]
    assert mine["uncertain"][place : place + 2] == [15, 8]
    assert mine["scores"]["ANG"][place - 1 : place + 2] == [None, 0.7, 0.7]
    assert sum(mine["readings"]) == 90
    assert sum(other["readings"]) == 0
    assert other["scores"] == {}
    assert {len(column) for column in (mine["readings"], other["uncertain"], *mine["scores"].values())} == {61}


def test_who_was_off_is_told(client: Client) -> None:
    """Offline and paused stretches are spans; silence is none."""
    now = client.store.now()
    client.store.write([(DEVICE, status())])
    client.store.execute("DEL", keys.events(DEVICE))
    for minutes, state in ((90, "online"), (30, "paused"), (20, "offline"), (10, "online")):
        client.store.execute(
            "XADD", keys.events(DEVICE), f"{now - minutes * MINUTE_MS}-0", "kind", state, "model", "ang-hap-neu-1"
        )
    minutes = [*range(30, 61), *range(10)]
    listened = [heard(60 - minute, now - minute * MINUTE_MS) for minute in minutes]
    client.store.write([(DEVICE, record) for record in listened])

    (strip,) = client.get("/api/v1/strips")["strips"]

    assert [span["kind"] for span in strip["off"]] == ["paused", "offline"]


def test_readings_that_move_into_the_rollups_meanwhile_count_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two commands of one trip, ingest may add the open readings to their minutes."""
    now = client.store.now() // MINUTE_MS * MINUTE_MS
    client.store.write([(DEVICE, status()), *((DEVICE, reading(seq, now - 1000 + seq)) for seq in range(40))])
    ask = client.store.execute_all

    def move(commands: Sequence[Sequence[Word]]) -> list[object]:
        replies: list[object] = []
        for command in commands:
            replies += ask([command])
            if command[0] == "LRANGE" and command[1] == keys.open_readings(DEVICE) and len(replies) < 10:
                client.store.write([(DEVICE, reading(100 + seq, now + seq)) for seq in range(40)])
        return replies

    services = client.flask.application.extensions["moodwire"]
    monkeypatch.setattr(services.store, "execute_all", move)
    (strip,) = client.get("/api/v1/strips")["strips"]

    assert sum(strip["readings"]) == sum(
        int(table.count.sum()) for table in client.store.rollups(DEVICE, MINUTE, 0, now + DAY)
    )


DAY = 86_400_000


def test_what_is_too_much_is_refused_in_a_sentence(client: Client) -> None:
    """Longer ranges and finer steps are for one device at a time."""
    assert "more than a day" in client.problem("/api/v1/strips?start=0&end=1000000", 400)
    assert "whole minutes" in client.problem("/api/v1/strips?step=10s", 400)
