"""Confirmations tell a device what became of exactly its records, gathered and in messages that are not too large."""

import pytest
from records import BOOT, DEVICE, OTHER_BOOT

from broker.messages import MAX_PAYLOAD_BYTES, Stored, encode
from server.ingest import confirmations
from server.ingest.confirmations import Confirmations
from server.store.types import Outcome

STORED = Outcome("stored")


def test_each_device_and_boot_hears_of_its_own_records() -> None:
    """A repeat is called stored, and what was refused has its reason."""
    told = Confirmations()
    for seq, outcome in enumerate([STORED, Outcome("repeat"), Outcome("expired"), Outcome("erased")]):
        told.add(DEVICE, BOOT, seq, outcome)
    for seq in (4, 5, 7):
        told.add(DEVICE, BOOT, seq, Outcome("refused", "from the future"))
    told.add(DEVICE, OTHER_BOOT, 0, STORED)
    refused = ((4, 5, "from the future"), (7, 7, "from the future"))
    assert list(told.take()) == [
        (DEVICE, Stored(boot=BOOT, stored=((0, 1),), expired=((2, 2),), erased=((3, 3),), refused=refused)),
        (DEVICE, Stored(boot=OTHER_BOOT, stored=((0, 0),))),
    ]


def test_the_first_after_a_pause_goes_at_once_and_others_are_gathered() -> None:
    """What comes right after a confirmation waits for others, unless it is the end."""
    told = Confirmations()
    told.add(DEVICE, BOOT, 0, STORED)
    assert len(list(told.take())) == 1
    told.add(DEVICE, BOOT, 1, STORED)
    assert list(told.take()) == []
    told.add(DEVICE, BOOT, 2, STORED)
    assert list(told.take(now=True)) == [(DEVICE, Stored(boot=BOOT, stored=((1, 2),)))]
    assert list(told.take(now=True)) == []


def test_a_confirmation_stays_within_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that are all refused for reasons of their own, as long as reasons are, are told in several messages."""
    monkeypatch.setattr(confirmations, "_INTERVAL_S", 0.0)
    told = Confirmations()
    for seq in range(1000):
        told.add(DEVICE, BOOT, 2 * seq, Outcome("refused", f"{seq:0200d}"))
    found = [stored for _, stored in told.take()]
    assert sum(len(stored.refused) for stored in found) == 1000
    assert max(len(encode(stored)) for stored in found) <= MAX_PAYLOAD_BYTES
