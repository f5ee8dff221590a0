"""The messages on the wire: what is understood, what is refused, and why."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import messages
from broker.messages import Heard, Message, Reading, SetCommand, Status, Stored, WireError, decode, encode

READING: dict[str, Any] = {
    "v": 1,
    "boot": "0123456789abcdef",
    "seq": 123,
    "gen": 0,
    "at": 1_764_630_309_530,
    "span_ms": 3_000,
    "state": "speech",
    "scores": {"ANG": 0.91, "HAP": 0.05, "NEU": 0.04},
    "level_dbfs": -23.1,
    "model": "ang-hap-neu-1",
    "clock_synced": True,
}

boots = st.text("0123456789abcdef", min_size=16, max_size=16)
probabilities = st.floats(0, 1)
readings = st.builds(
    Reading,
    boot=boots,
    seq=st.integers(0, messages.MAX_SEQ),
    gen=st.integers(0, 2**31),
    at=st.integers(0, 2**48 - 1),
    span_ms=st.integers(1, 600_000),
    state=st.sampled_from(["speech", "uncertain"]),
    scores=st.dictionaries(st.sampled_from(["ANG", "HAP", "NEU", "SAD"]), probabilities, min_size=1),
    level_dbfs=st.floats(-120, 0),
    model=st.text(max_size=64),
    clock_synced=st.booleans(),
)


@given(readings)
def test_decode_undoes_encode(reading: Reading) -> None:
    """What is written is read back as it was."""
    assert decode(encode(reading), Reading) == reading


def test_unknown_fields_are_ignored() -> None:
    """An old reader survives a newer writer."""
    assert decode(json.dumps(READING | {"mood": "new"}).encode(), Reading).seq == 123


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2),
        ("boot", "0123"),
        ("boot", "0123456789ABCDEF"),
        ("seq", -1),
        ("seq", messages.MAX_SEQ + 1),
        ("seq", "123"),
        ("gen", -1),
        ("at", -1),
        ("at", 1.5),
        ("span_ms", 0),
        ("state", "silent"),
        ("scores", {}),
        ("scores", {"ANG": 1.01}),
        ("scores", {"ANG": "high"}),
        ("scores", {"ang": 0.5}),
        ("scores", {f"L{i}": 0.1 for i in range(17)}),
        ("level_dbfs", 0.1),
        ("level_dbfs", -120.5),
        ("model", "m" * 65),
        ("clock_synced", 1),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    """A reading with one wrong field is refused, and the reason names the field."""
    with pytest.raises(WireError, match=field):
        decode(json.dumps(READING | {field: value}).encode(), Reading)


@pytest.mark.parametrize("field", sorted(set(READING) - {"v"}))
def test_a_missing_field_is_named(field: str) -> None:
    """A reading without one of its fields is refused, and the reason names the field."""
    without = {name: value for name, value in READING.items() if name != field}

    with pytest.raises(WireError, match=field):
        decode(json.dumps(without).encode(), Reading)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"scores":{"ANG":NaN}}',
        b"[" * 50_000,
        b'{"a":' * 10_000,
        b'"' + b"x" * messages.MAX_PAYLOAD_BYTES + b'"',
    ],
)
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    """Empty, binary, deeply nested or oversized payloads are refused, not crashed on."""
    with pytest.raises(WireError):
        decode(payload, Reading)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(payload: bytes) -> None:
    """Whatever arrives is understood or refused with WireError."""
    messages.identify(payload)
    with pytest.raises(WireError):
        decode(payload, Reading)


def test_a_malformed_record_can_still_be_named() -> None:
    """Boot and number are found in a record that is otherwise wrong, so that it can be refused by name."""
    assert messages.identify(json.dumps(READING | {"scores": None}).encode()) == messages.Identity(
        "0123456789abcdef", 123
    )
    assert messages.identify(b'{"boot": "x"}') is None


def test_the_confirmation_has_the_documented_form() -> None:
    """`stored` is exactly what the contract shows."""
    stored = Stored(boot="0123456789abcdef", stored=((0, 4), (7, 7)), refused=((5, 5, "from next week"),))

    assert json.loads(encode(stored)) == {
        "v": 1,
        "boot": "0123456789abcdef",
        "stored": [[0, 4], [7, 7]],
        "expired": [],
        "erased": [],
        "refused": [[5, 5, "from next week"]],
        "later": [],
    }
    assert decode(encode(stored), Stored) == stored


@given(st.lists(st.integers(0, 60)))
def test_ranges_hold_exactly_the_numbers(numbers: list[int]) -> None:
    """Ranges are sorted, do not touch, and hold every number once."""
    found = messages.ranges(numbers)

    assert [n for first, last in found for n in range(first, last + 1)] == sorted(set(numbers))
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))


def test_no_message_can_hold_audio() -> None:
    """No field of a record holds bytes, or a list of numbers."""
    for record in (Reading, Heard):
        for field in msgspec.structs.fields(record):
            assert "bytes" not in str(field.type), field.name
            assert "list" not in str(field.type), field.name


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\u202eb", "a\u200bb", "a\ufffeb", "  ", "\u3164"])
def test_a_device_is_not_given_a_name_that_cannot_be_shown(name: str) -> None:
    """Such a `set` is refused, whoever sends it."""
    payload = json.dumps({"v": 1, "transaction": "1", "name": name}).encode()

    with pytest.raises(WireError, match=r"invisible character|0 characters"):
        decode(payload, SetCommand)


def test_a_device_with_a_name_that_cannot_be_shown_is_seen_all_the_same() -> None:
    """Its status counts, and in the name each such character is replaced."""
    fields = {"state": "online", "boot": READING["boot"], "connection": 1, "name": " a\0\n b\u202e ", "labels": ["ANG"]}
    payload = json.dumps(fields | {"model": "m", "version": "0.1.0"}).encode()

    assert decode(payload, Status).name == "a\ufffd\ufffd b\ufffd"


def test_threads_may_decode_their_first_messages_at_once() -> None:
    """Every type is known to msgspec at import; shown by two threads at once it ends the process."""
    made = subprocess.run(
        [sys.executable, "-c", "from broker import messages; print(*(kind.__name__ for kind in messages._decoders))"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert {*made.stdout.split()} == {kind.__name__ for kind in get_args(Message)}
