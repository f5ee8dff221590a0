"""A backup that is damaged, or made to deceive, is refused in a sentence before anything of it is written."""

import gzip
import io
import json
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import DAY_MS, DEVICE
from services import RunningStore

import moodwire
from broker.messages import MAX_SEQ
from server.ops import backup, backup_format
from server.store import keys
from server.store.redis_store import RedisStore

NOW = int(time.time()) * 1000 // 21_600_000 * 21_600_000
"""Unix ms, the start of six hours."""
ABOUT = {"device": DEVICE, "generation": 0}
KIND = {"model": "m", "span_ms": 3000, "labels": ["ANG", "NEU"]}
HEAD = {"type": "moodwire-backup", "format": 1, "made": "2026-11-30T12:00:00Z", "version": "0.2.0"}
TIMES = {"erased_at": 0, "first_seen": NOW, "last_seen": NOW}
TEXTS = {"name": "Kitchen", "state": "online", "labels": "ANG,NEU", "model": "m", "version": "0.2.0"}
THE_DEVICE = {"type": "device", **ABOUT, **TIMES, **TEXTS}
A_BOOT = {"type": "boot", **ABOUT, "boot": "00000000000000aa", "first_at": NOW, "last_at": NOW, "first_arrival": NOW}
A_BOOT |= {"last_arrival": NOW, "seen": [[0, 1]], "records": 2, "lowest": 0, "highest": 1}
READINGS = {"type": "readings", **ABOUT, "kind": KIND, "rows": [[NOW, "speech", -20.0, True, [0.3, 0.7]]]}
HEARD = {"type": "heard", **ABOUT, "rows": [[NOW, 60000, 60, 50, 10, 2, 0, -60.0, 0.0, None, False]]}
EVENTS = {"type": "events", **ABOUT, "rows": [[f"{NOW}-0", "online", "m"]]}
ROLLUPS = {
    "type": "rollups",
    **ABOUT,
    "kind": KIND,
    "level": "d",
    "group": NOW // DAY_MS // 64,
    "rows": [[0, [1, 0, *[0] * 48]]],
}
END = {"type": "end", "devices": 1, "readings": 1}
GOOD = [HEAD, THE_DEVICE, A_BOOT, READINGS, HEARD, EVENTS, ROLLUPS, END]


def restored(file: Path, store: RunningStore, lines: list[Any]) -> int:
    """Write lines into a backup, restore it, and return the exit code."""
    with gzip.open(file, "wb") as out:
        for line in lines:
            out.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
    return moodwire.main(["server", "restore", "--file", str(file), "--redis-url", store.url])


def changed(line: Any, **values: Any) -> list[Any]:
    """Return a good backup in which one line has other values."""
    return [one | values if one is line else one for one in GOOD]


def test_a_good_backup_is_restored(redis_store: RunningStore, tmp_path: Path) -> None:
    """What the other tests change is right before they do."""
    assert restored(tmp_path / "b.gz", redis_store, GOOD) == 0
    store = RedisStore(redis_store.url, DAY_MS, DAY_MS)
    assert [device.name for device in store.devices("", 10)] == ["Kitchen"]
    assert [boot.records for boot in store.boots(DEVICE)] == [2]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (changed(THE_DEVICE, device="../../x"), r"Expected `str` matching regex .* - at `\$.device`"),
        (changed(THE_DEVICE, name="x" * 65), r"at `\$.name`"),
        (changed(THE_DEVICE, state="on fire"), r"at `\$.state`"),
        (changed(THE_DEVICE, labels="../x"), r"at `\$.labels`"),
        (changed(THE_DEVICE, generation=2**48), "knows of 281474976710656 erasures of 0123456789ab"),
        (changed(THE_DEVICE, last_seen=2**47), "has times in the future"),
        (changed(A_BOOT, device="ba9876543210"), "behind the lines of another one"),
        (changed(A_BOOT, generation=1), "behind the lines of another one"),
        (changed(A_BOOT, boot="x"), r"at `\$.boot`"),
        (changed(A_BOOT, seen=[[0, 10**12]]), r"Expected `int` <= 67108863 - at `\$.seen"),
        (changed(A_BOOT, seen=[[0, 10**40]]), r"at `\$.seen"),
        (changed(A_BOOT, seen=[]), r"at `\$.seen`"),
        (changed(A_BOOT, seen=[[5, 3]]), "`seen` are not in order"),
        (changed(A_BOOT, seen=[[0, 5], [3, 9]]), "`seen` are not in order"),
        (changed(A_BOOT, seen=[[0, 5], [6, 9]]), "`seen` are not in order"),
        (changed(A_BOOT, records=3), "contradict `seen`"),
        (changed(A_BOOT, highest=0), "contradict `seen`"),
        (changed(A_BOOT, last_at=NOW - 1), "ends before it begins"),
        (changed(READINGS, rows=[[NOW, "speech", -20.0, True, [0.3]]]), "not one score for each label"),
        (changed(READINGS, rows=[[NOW, "speech", -20.0, True, [0.3, 7]]]), r"Expected `float` <= 1"),
        (changed(READINGS, rows=[[NOW, "speech", 20.0, True, [0.3, 0.7]]]), r"Expected `float` <= 0"),
        (changed(READINGS, rows=[*READINGS["rows"], [NOW + 3_600_000, "speech", 0, True, [0, 1]]]), "different hours"),
        (changed(READINGS, rows=[[2**47, "speech", -20.0, True, [0.3, 0.7]]]), "has times in the future"),
        (changed(READINGS, kind=KIND | {"labels": ["NEU", "ANG"]}), "labels are not in order"),
        (changed(HEARD, rows=[*HEARD["rows"], [NOW - 10**8, *HEARD["rows"][0][1:]]]), "different quarters"),
        (changed(HEARD, rows=[[NOW, 60000, -1, *HEARD["rows"][0][3:]]]), r"Expected `int` >= 0"),
        (changed(EVENTS, rows=[["0-0", "online", "m"]]), r"at `\$.rows"),
        (changed(EVENTS, rows=[["x", "online", "m"]]), r"at `\$.rows"),
        (changed(ROLLUPS, level="x"), r"Invalid enum value 'x' - at `\$.level`"),
        (changed(ROLLUPS, rows=[[1, [1, 0]]]), "not the numbers of a slot"),
        (changed(ROLLUPS, rows=[[1, [10**18, 0, *[0] * 48]]]), r"Expected `int` <= 1099511627776"),
        (changed(ROLLUPS, level="h", rows=[[24, ROLLUPS["rows"][0][1]]]), "not the numbers of a slot"),
        (changed(END, readings=7), "counts 7 readings of 1 devices"),
        (GOOD[1:], "line 1: it is out of place"),
        ([*GOOD, A_BOOT], "out of place"),
        (GOOD[:-1], "is cut off after line 7"),
        ([], "is cut off after line 0"),
        ([b"hello"], "line 1: JSON is malformed"),
        ([*GOOD[:2], b'{"x":' + b"[" * 100_000], "line 3: "),
        ([*GOOD[:2], b"\xff" * 99], "line 3: "),
    ],
)
def test_a_line_that_is_not_right_stops_all(
    redis_store: RunningStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[Any], sentence: str
) -> None:
    """Names that lead elsewhere, absurd numbers, contradictions, lines out of place: code 2, and nothing is written."""
    assert restored(tmp_path / "b.gz", redis_store, lines) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(sentence, err), err
    assert "nothing is restored" in err
    assert redis_store.client.keys() == [keys.LAYOUT.encode()]


def test_a_line_that_swells_is_given_up(
    redis_store: RunningStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is small on disk and has a line without an end is read no further than a line may be long."""
    monkeypatch.setattr("server.ops.backup.LONGEST_LINE", 2**20)
    file = tmp_path / "b.gz"
    with gzip.open(file, "wb") as out:
        for _ in range(64):
            out.write(b" " * 2**20)
    assert file.stat().st_size < 100_000
    tracemalloc.start()
    try:
        assert moodwire.main(["server", "restore", "--file", str(file), "--redis-url", redis_store.url]) == 2
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    assert "line 1 is longer than 1048576 bytes" in capsys.readouterr().err


def test_no_device_gets_more_than_it_could_have_sent(
    redis_store: RunningStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five boots that have sent every number there can be are more pages than a device may have."""
    whole = {"seen": [[0, MAX_SEQ]], "records": MAX_SEQ + 1, "highest": MAX_SEQ}
    boots = [A_BOOT | whole | {"boot": f"{number:016x}"} for number in range(5)]
    assert restored(tmp_path / "b.gz", redis_store, [HEAD, THE_DEVICE, *boots, END | {"readings": 0}]) == 2
    assert "more than 10000 boots or 65536 pages" in capsys.readouterr().err


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000))
def test_no_damage_ends_in_a_traceback(redis_store: RunningStore, place: int, value: int, length: int) -> None:
    """A byte that flipped in a file that ends anywhere is a sentence, unless it is the whole file as it was."""
    store = RedisStore(redis_store.url, DAY_MS, DAY_MS)
    whole = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in GOOD), mtime=0)
    damaged = bytearray(whole)
    damaged[place % len(damaged)] = value
    del damaged[length:]
    good, problem = backup.check(store, io.BytesIO(damaged))
    assert problem or good == len(GOOD)
    store.close()


def test_the_longest_lines_that_a_backup_has_can_be_restored() -> None:
    """As many rows as fit into a line, of as many labels as there can be, are shorter than a line may be."""
    row = json.dumps([2**48 - 1, "uncertain", -119.5, False, [0.1234] * 16], separators=(",", ":"))
    assert len(row + ",") * backup_format.MOST_ROWS < backup_format.LONGEST_LINE
    assert len(f"[{MAX_SEQ},{MAX_SEQ}],") * backup_format.MOST_RUNS < backup_format.LONGEST_LINE
