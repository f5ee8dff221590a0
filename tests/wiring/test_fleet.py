"""Simulated devices speak as real ones do, and say everywhere that they are simulated."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from brokers import ACCOUNTS, DEVICE, RunningBroker
from rooms import ingest
from services import RunningStore, wait_until

from broker import messages, topics
from broker.messages import Heard, Reading
from common import mqtt
from server.store.redis_store import RedisStore
from wiring import fleet
from wiring.fleet import DAYS, Simulation, device_ids
from wiring.personas import PERSONAS, Persona

DAY_MS = 86_400_000


def test_every_device_has_an_id_and_a_name_of_its_own() -> None:
    """Ids are locally administered addresses, so no real device has one."""
    ids = device_ids(fleet.MOST)

    assert len(set(ids)) == fleet.MOST
    assert all(int(device[1], 16) & 2 for device in ids)
    assert len({persona.name for persona in PERSONAS}) == len(PERSONAS)


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.name)
def test_a_month_is_what_the_contract_allows(persona: Persona, tmp_path: Path) -> None:
    """Each record can be read again; a day is neither empty nor full, unless the microphone is muted."""
    simulation = Simulation(DEVICE, persona, tmp_path)
    end = int(time.time() * 1000) // DAY_MS * DAY_MS - 3 * DAY_MS
    records = list(simulation._stretch("0" * 16, 0, end - DAY_MS, end))
    readings = [record for record in records if isinstance(record, Reading)]
    heard = [record for record in records if isinstance(record, Heard)]

    for record in records[::97]:
        assert messages.decode(messages.encode(record), type(record)) == record
    assert [record.seq for record in records] == list(range(len(records)))
    assert sum(record.span_ms for record in heard) == DAY_MS
    assert all(record.windows >= record.silent >= 0 for record in heard)
    assert bool(readings) == (persona.capture == "ok")
    assert len(readings) < 8_000
    assert {record.model for record in readings} <= {"simulated-3", "simulated-6"}
    assert DAYS == 30


@pytest.mark.slow
def test_history_is_stored_once_and_commands_are_obeyed(
    broker: RunningBroker, redis_store: RunningStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run of a history that was cut off adds nothing; pause and rename are answered; the mark stays."""
    monkeypatch.setattr(fleet, "DAYS", 1)
    store = RedisStore(redis_store.url, 90 * DAY_MS, 730 * DAY_MS)
    answers: list[Any] = []
    with ingest(tmp_path, broker, redis_store) as room:
        room.says("the server is online")
        counts = []
        for run in range(2):
            simulation = Simulation(DEVICE, PERSONAS[2], tmp_path / "fleet")
            simulation.connect(mqtt.parse_url(broker.url), ACCOUNTS[DEVICE])
            for path in (tmp_path / "fleet").glob("*.json"):
                path.write_text(path.read_text().replace('"done": true', '"done": false'))
            assert simulation._client is not None
            wait_until(simulation._client.is_connected, "it is connected")
            for _ in simulation.remember(threading.Event()):
                pass
            wait_until(lambda simulation=simulation: not simulation._unconfirmed, "all is confirmed", 120)
            device = store.device(DEVICE)
            assert device is not None
            counts.append(device.readings)
            if run:
                with broker.client("server", lambda topic, payload: answers.append((topic, payload))) as server:
                    server.subscribe(topics.subscription("cmd/set/response"))
                    rename = messages.SetCommand(transaction="t", name="Loft")
                    server.publish(topics.command(DEVICE, "set"), messages.encode(rename), qos=1)
                    wait_until(lambda: answers, "it answers")
                wait_until(lambda: "Loft (simulated)" in [one.name for one in store.devices("", 9)], "it has the name")
            simulation.stop()
    assert counts[0] == counts[1] > 100
    assert device.version == "simulated"
