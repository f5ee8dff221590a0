"""A damaged outbox gives back every row that does not lie in the damaged bytes."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from brokers import DEVICE
from outboxes import BOOT, MACHINE, TestClock, numbers, open_outbox

from broker.messages import Heard, Reading
from device.delivery.outbox import Outbox
from device.delivery.outbox_file import kept_aside, peek
from device.delivery.outbox_salvage import PAGE_BYTES, DamagedFile
from device.delivery.outbox_tiers import RETRY_MS
from device.delivery.row import Row
from device.delivery.timestamps import Stamp

NOW_MS = 1_760_000_000_000
BOOTS = ("0123456789abcdef", "00000000000000aa")
ROWS = 300
"""Of each boot, the first of which is confirmed up to `CONFIRMED`."""
CONFIRMED = 60
Key = tuple[str, int]


def record(boot: str, seq: int, gen: int = 0) -> Row:
    """Return the row of a record as a device makes it; each tenth is a `heard` record."""
    stamp = Stamp(NOW_MS + 1000 * seq, synced=True, held_ms=None, kernel_boot="a")
    common: dict[str, Any] = {"boot": boot, "seq": seq, "gen": gen, "at": stamp.at_ms, "level_dbfs": -31.5}
    if seq % 10 == 9:
        counts: dict[str, Any] = {
            "windows": 60,
            "silent": 50,
            "speech": 10,
            "uncertain": 0,
            "dropped": 0,
            "clipping": 0.0,
        }
        return Row.of(Heard(**common, **counts, span_ms=60_000), stamp)
    scores = {"ANGER": 0.2, "HAPPINESS": round(seq / 1000, 4), "NEUTRAL": 0.5}
    more: dict[str, Any] = {
        "span_ms": 3000,
        "state": "speech",
        "scores": scores,
        "model": "ang-hap-neu-9",
        "clock_synced": True,
    }
    return Row.of(Reading(**common, **more), stamp)


def fill(outbox: Outbox) -> dict[Key, bytes]:
    """Put the rows of two boots, confirm the first, and return what waits."""
    for boot in BOOTS:
        for seq in range(ROWS):
            outbox.put(record(boot, seq))
    outbox.confirm(BOOTS[0], [(0, CONFIRMED - 1)])
    return {(row.boot, row.seq): row.payload for row in outbox.oldest(10_000)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Key, bytes]]:
    """Return the folder of an outbox that was closed, and what waits in it."""
    folder = tmp_path_factory.mktemp("whole")
    outbox = open_outbox(folder)
    waiting = fill(outbox)
    outbox.close()
    return folder, waiting


@pytest.fixture
def copy(whole: tuple[Path, dict[Key, bytes]], tmp_path: Path) -> Path:
    """Return a copy of that outbox's file."""
    return Path(shutil.copy(whole[0] / "outbox.sqlite", tmp_path / "outbox.sqlite"))


def found(outbox: Outbox) -> dict[Key, bytes]:
    """Return what waits; the first call may be the one that finds the damage."""
    outbox.oldest(10_000)
    return {(row.boot, row.seq): row.payload for row in outbox.oldest(10_000)}


def rows_by_page(path: Path) -> dict[int, set[Key]]:
    """Return which rows lie on which page of a file, the first being 0; pages that are free have none."""
    places: dict[int, set[Key]] = {}
    with DamagedFile(path, DEVICE) as file:
        file.survey()
        every, free = dict(file._versions), file._free_pages()
        for number in every.keys() - free:
            file._versions = {number: every[number]}
            places[number - 1] = {(row.boot, row.seq) for row in file.rows(0)}
    return places


def damage(path: Path, rng: random.Random) -> set[int]:
    """Damage a file as a dying card does, and return the pages that are no longer as they were."""
    content = bytearray(path.read_bytes())
    pages = len(content) // PAGE_BYTES
    hit: set[int] = set()
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20])):
        page = rng.randrange(pages)
        first = page * PAGE_BYTES
        hit.add(page)
        match rng.choice(["flip", "flip", "zero", "ones", "noise", "half", "other"]):
            case "flip":
                content[first + rng.randrange(PAGE_BYTES)] ^= 1 << rng.randrange(8)
            case "zero":
                content[first : first + PAGE_BYTES] = bytes(PAGE_BYTES)
            case "ones":
                content[first : first + PAGE_BYTES] = b"\xff" * PAGE_BYTES
            case "noise":
                content[first : first + PAGE_BYTES] = rng.randbytes(PAGE_BYTES)
            case "half":
                content[first : first + PAGE_BYTES // 2] = bytes(PAGE_BYTES // 2)
            case "other":
                source = rng.randrange(pages) * PAGE_BYTES
                content[first : first + PAGE_BYTES] = content[source : source + PAGE_BYTES]
    path.write_bytes(content)
    return hit


@pytest.mark.parametrize("block", range(4))
def test_every_row_outside_the_damaged_pages_survives(
    whole: tuple[Path, dict[Key, bytes]], tmp_path: Path, block: int
) -> None:
    """Bits flipped and pages lost anywhere, header, schema and trees too: the other rows are all there, unchanged."""
    folder, waiting = whole
    places = rows_by_page(folder / "outbox.sqlite")
    assert set().union(*places.values()) >= waiting.keys()
    put = {(boot, seq): record(boot, seq).payload for boot in BOOTS for seq in range(ROWS)}
    survived = 0
    for seed in range(block * 25, block * 25 + 25):
        rng = random.Random(seed)
        state = tmp_path / str(seed)
        state.mkdir()
        shutil.copy(folder / "outbox.sqlite", state)
        hit = damage(state / "outbox.sqlite", rng)
        must_survive = {key for page, keys in places.items() if page not in hit for key in keys} & waiting.keys()

        outbox = open_outbox(state, clock=TestClock())
        here = found(outbox)
        outbox.close()

        assert here.keys() >= must_survive, f"seed {seed}"
        assert {key: put[key] for key in here} == here, f"seed {seed}: nothing is there that was never put"
        survived += len(here.keys() & waiting.keys())
    assert survived > 0.9 * 25 * len(waiting)


def test_one_flipped_byte_in_a_key_costs_no_row_and_no_thread(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The record itself says which it is, so a key that points to no boot is mended."""
    with closing(sqlite3.connect(copy)) as db, db:
        db.execute("UPDATE rows SET id = id + (9 << 26) WHERE id = (2 << 26) + 7")

    outbox = open_outbox(copy.parent)

    assert len(found(outbox)) == 2 * ROWS - CONFIRMED
    assert outbox.damaged == 0
    assert "540 records are salvaged, about 0 are lost; the file is kept as outbox-damaged-1.sqlite" in caplog.text


def test_a_row_that_is_not_as_it_was_written_is_never_sent(copy: Path) -> None:
    """A changed score is still a score; the check value tells, and the row is set aside and counted."""
    with closing(sqlite3.connect(copy)) as db, db:
        old, new = b'"HAPPINESS":0.007', b'"HAPPINESS":0.907'
        db.execute(
            "UPDATE rows SET payload = CAST(replace(payload, ?, ?) AS BLOB) WHERE id = (2 << 26) + 7", (old, new)
        )
        assert db.execute("SELECT payload FROM rows WHERE id = (2 << 26) + 7").fetchone()[0].find(new) > 0

    outbox = open_outbox(copy.parent)

    assert (BOOTS[1], 7) not in found(outbox)
    assert len(found(outbox)) == 2 * ROWS - CONFIRMED - 1
    assert outbox.damaged == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meta SET value = 'bbeeffbbeeff' WHERE key = 'device'",
        "UPDATE meta SET value = 'serial:7' WHERE key = 'machine'",
        "UPDATE meta SET value = '2000' WHERE key = 'generation'",
        "DELETE FROM boots",
        "UPDATE boots SET name = 'x'",
        "PRAGMA user_version = 67",
        "PRAGMA user_version = 0",
        "UPDATE rows SET kind = CAST(x'ff' AS TEXT) WHERE id = (2 << 26) + 7",
        "UPDATE rows SET at_ms = 5 WHERE id = (3 << 26) - 1 OR id = (2 << 26) + 200",
    ],
)
def test_what_stands_around_the_rows_may_be_damaged_too(copy: Path, change: str) -> None:
    """Owner, generation, boots, version, text that is none: no row but the damaged one is lost, and order stays."""
    with closing(sqlite3.connect(copy)) as db, db:
        db.execute(change)

    outbox = open_outbox(copy.parent, clock=TestClock(NOW_MS))
    outbox.drop_old()
    outbox.waiting()
    keys = list(found(outbox))

    assert len(keys) >= 2 * ROWS - CONFIRMED - 1
    assert keys == sorted(keys, key=lambda key: (BOOTS.index(key[0]), key[1]))
    assert outbox.generation == 0
    assert outbox.state == "ok"


def test_a_header_that_says_read_only_is_damage_and_no_full_disk(copy: Path) -> None:
    """SQLite would call the disk read-only for ever."""
    content = bytearray(copy.read_bytes())
    content[18] = 7
    copy.write_bytes(content)

    outbox = open_outbox(copy.parent)

    assert outbox.state == "ok"
    assert len(found(outbox)) == 2 * ROWS - CONFIRMED


@pytest.mark.parametrize("place", [0.001, 0.2, 0.9])
def test_rows_behind_a_damaged_place_in_the_log_are_found(tmp_path: Path, place: float) -> None:
    """SQLite ignores a log from its first damaged page on, without a word; what stands behind it is taken over."""
    (tmp_path / "killed").mkdir()
    outbox = open_outbox(tmp_path)
    for seq in range(200):
        outbox.put(record(BOOT, seq))
    for name in ("outbox.sqlite", "outbox.sqlite-wal"):
        shutil.copy(tmp_path / name, tmp_path / "killed" / name)  # as kill -9 leaves them
    log = tmp_path / "killed" / "outbox.sqlite-wal"
    content = bytearray(log.read_bytes())
    content[round(place * len(content))] ^= 4
    log.write_bytes(content)

    again = open_outbox(tmp_path / "killed")

    assert len(numbers(again)) >= 199
    assert again.state == "ok"


def test_a_file_without_check_values_is_brought_up_to_date(copy: Path) -> None:
    """An outbox of the version before keeps all its rows; one that is damaged as well is salvaged."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("ALTER TABLE rows DROP COLUMN crc")
        db.execute("DELETE FROM meta WHERE key = 'crc'")
        db.execute("PRAGMA user_version = 2")
    damaged = copy.parent / "damaged"
    damaged.mkdir()
    shutil.copy(copy, damaged)
    assert peek(copy).rows == 2 * ROWS - CONFIRMED, "the doctor may look before the device has started"

    outbox = open_outbox(copy.parent)
    assert len(found(outbox)) == 2 * ROWS - CONFIRMED
    assert kept_aside(copy) == []

    with closing(sqlite3.connect(damaged / "outbox.sqlite")) as db, db:
        db.execute("UPDATE rows SET payload = x'00' WHERE id = (2 << 26) + 7")
    outbox = open_outbox(damaged)
    assert len(found(outbox)) == 2 * ROWS - CONFIRMED - 1
    assert outbox.damaged == 1


def test_a_salvage_that_was_cut_short_is_done_at_the_next_start(copy: Path) -> None:
    """Killed after the damaged file was set aside, the device takes its rows over when it starts again."""
    copy.rename(copy.with_name("outbox-salvage-1.sqlite"))

    outbox = open_outbox(copy.parent)

    assert len(found(outbox)) == 2 * ROWS - CONFIRMED
    assert [path.name for path in kept_aside(copy)] == ["outbox-damaged-1.sqlite"]


def test_a_file_that_breaks_again_and_again_is_left_alone(tmp_path: Path) -> None:
    """On a card that damages every new file records wait in memory, and the file is tried again each minute."""
    clock = TestClock()
    outbox = open_outbox(tmp_path, clock=clock)
    for seq in range(2):
        outbox.put(record(BOOT, seq))
        assert outbox._table._file
        outbox._table._file.db.execute("UPDATE rows SET kind = 'x'")
        outbox.oldest(10)
    assert outbox.state == "full"
    for seq in range(2, 5):
        outbox.put(record(BOOT, seq))
    assert numbers(outbox) == [2, 3, 4]
    clock.advance(RETRY_MS / 1000)

    assert found(outbox).keys() == {(BOOT, seq) for seq in range(2, 5)}
    assert outbox.state == "ok"
    assert outbox.damaged == 2


def test_what_was_erased_is_not_salvaged(tmp_path: Path) -> None:
    """Rows of an earlier generation stay away, whatever old pages a damaged file still has."""
    outbox = open_outbox(tmp_path)
    outbox.put(record(BOOT, 0, gen=0))
    outbox.raise_generation(4)
    outbox.put(record(BOOT, 1, gen=4))
    outbox.put(record(BOOT, 2, gen=3))
    assert outbox._table._file
    outbox._table._file.db.execute("UPDATE boots SET name = 'x'")
    outbox.close()

    again = open_outbox(tmp_path)

    assert found(again).keys() == {(BOOT, 1)}
    assert again.generation == 4
    again.raise_generation(5)
    assert kept_aside(tmp_path / "outbox.sqlite") == []


def test_a_damaged_outbox_still_tells_what_it_had_to_drop(tmp_path: Path) -> None:
    """The spans of a full outbox lie beside its rows, on pages of their own, and are taken over with them."""
    outbox = open_outbox(tmp_path, max_rows=20)
    for boot in range(8):
        for seq in range(0, 4_000, 200):
            outbox.put(record(f"{boot:016x}", seq))
    spans = outbox.dropped_spans
    outbox.put(record("f" * 16, 0, gen=0))
    assert len(spans) > 5
    assert outbox._table._file
    outbox._table._file.db.execute("UPDATE rows SET kind = 'x' WHERE id = (SELECT max(id) FROM rows)")

    assert found(outbox)
    assert outbox.dropped_spans[: len(spans) - 1] == spans[:-1]
    outbox.close()
    assert open_outbox(tmp_path, max_rows=20).dropped_spans[: len(spans) - 1] == spans[:-1]


def test_facts_about_the_owner_are_checked(copy: Path) -> None:
    """A file that truly belongs to another device gives it no row, damaged or not."""
    content = bytearray(copy.read_bytes())
    content[60] ^= 1
    copy.write_bytes(content)

    other = open_outbox(copy.parent, "112233445566", MACHINE)

    assert numbers(other) == []


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert "Traceback" not in caplog.text
