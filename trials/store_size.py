"""What a reading costs in the store: `python -m trials.store_size`.

Writes readings of three scores at 1 Hz to each kind of store: speech all the time, and in stretches of 20 s that make
up 10 % and 1 % of the time, at random times with a fixed seed. Prints memory and append-only file for each reading,
with the device's rollups, bitmap and everything else. Memory is the growth of `used_memory`; its rollups stay when the
readings have expired. Of the file it prints the growth when readings come one by one and in arrays of 100, and what is
left when the store rewrites it, which it does when the file has doubled. The last lines are for the heard record of
each minute, and for a sorted set of JSON, the most common way to store such readings.
"""

import random
import tempfile
from pathlib import Path

from broker import messages
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import Store, running_store, wait_until

DAY_MS = 86_400_000
STRETCH_S = 20
DAYS = {1.0: 3, 0.1: 15, 0.01: 60}
"""Days that are written for each share of speech."""
PLAIN = "zset of JSON"


def main() -> None:
    """Measure and print."""
    names = f"{'memory':>10}{'rollups':>9}{'AOF live':>10}{'AOF backlog':>12}{'rewritten':>11}"
    print(f"{'bytes for each':<44}{'readings':>10}{names}")
    for wheel in (False, True):
        for share, days in DAYS.items():
            name, *figures = _measure(share, days, wheel=wheel)
            print(f"{name:<32}{100 * share:>5.0f} % speech{figures[0]:>9}", end="")
            print(
                "".join(f"{figure:>{width}.1f}" for figure, width in zip(figures[1:], (10, 9, 10, 12, 11), strict=True))
            )
    print(f"{'heard records, one a minute':<44}{'':>10}{_heard():>10.1f}")
    print(f"{PLAIN:<44}{'':>10}{_plain():>10.1f}")


def _measure(share: float, days: int, *, wheel: bool) -> tuple[str, int, float, float, float, float, float]:
    """Return the store's name, readings, and bytes each: memory, of it rollups, file alone, in arrays, rewritten."""
    files = []
    memory = rollups = readings = 0.0
    name = ""
    for together in (1, 100):
        with tempfile.TemporaryDirectory() as folder, running_store(Path(folder), wheel=wheel) as running:
            store = RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)
            store.prepare()
            used = _used_bytes(running, store)
            aof = _file_bytes(running)
            # The file is the same for each hour, so it needs fewer of them, which are synchronised one by one.
            made = _readings(share, days if together > 1 else days / 100, store.now())
            for first in range(0, len(made), together * 10):
                # As ingest sends it: one call for each message, several messages in one trip.
                parts = [
                    made[at : at + together] for at in range(first, min(first + together * 10, len(made)), together)
                ]
                for part in parts:
                    outcomes = store.write([(load.devices(1)[0], reading) for reading in part])
                    assert all(outcome and outcome.kind == "stored" for outcome in outcomes)
            files.append((_file_bytes(running) - aof) / len(made))
            memory, readings = (running.client.info("memory")["used_memory"] - used) / len(made), len(made)
            keys = [key for name in "mhd" for key in running.client.scan_iter(f"mw:*:{name}:*")]
            rollups = sum(running.client.memory_usage(key) or 0 for key in keys) / len(made)
            name = running.name.partition(" (")[0]
            running.client.bgrewriteaof()
            wait_until(lambda: _is_rewritten(running), "the file is rewritten")
            files.append(_file_bytes(running) / len(made))
    return name, int(readings), memory, rollups, files[0], files[2], files[3]


def _used_bytes(running: Store, store: RedisStore) -> int:
    """Return the memory of a store whose functions have run, which takes some 0.3 MB once."""
    store.write([(load.devices(2)[1], load.reading(2, 0, store.now()))])
    used: int = running.client.info("memory")["used_memory"]
    return used


def _is_rewritten(running: Store) -> bool:
    about = running.client.info("persistence")
    return not about["aof_rewrite_in_progress"] and not about["aof_rewrite_scheduled"]


def _readings(share: float, days: float, now: int) -> list[messages.Reading]:
    """Return readings up to now, of which the given share of all seconds has one."""
    dice = random.Random(1)
    made: list[messages.Reading] = []
    stretches = int(days * 86_400 / STRETCH_S)
    for stretch in range(stretches):
        if dice.random() < share:
            start, first = now - (stretches - stretch) * STRETCH_S * 1000, len(made)
            made.extend(
                [
                    load.reading(1, first + second, start + second * 1000 + dice.randrange(50))
                    for second in range(STRETCH_S)
                ]
            )
    return made


def _heard() -> float:
    """Return bytes in memory for what a device says each minute of what it heard."""
    with tempfile.TemporaryDirectory() as folder, running_store(Path(folder)) as running:
        store = RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)
        store.prepare()
        used = _used_bytes(running, store)
        made = [_minute(seq, store.now() - seq * 60_000) for seq in range(14_400)]
        for first in range(0, len(made), 1000):
            store.write([(load.devices(1)[0], record) for record in made[first : first + 1000]])
        return float((running.client.info("memory")["used_memory"] - used) / len(made))


def _minute(seq: int, at: int) -> messages.Heard:
    """Return a record of a minute in which nobody spoke."""
    return messages.Heard(
        boot=load.boot(1),
        seq=seq,
        gen=0,
        at=at,
        span_ms=60_000,
        windows=60,
        silent=60,
        speech=0,
        uncertain=0,
        dropped=0,
        level_dbfs=-60.0 + seq % 9,
        clipping=0.0,
    )


def _plain() -> float:
    """Return bytes per reading for what is stored most often: a sorted set of JSON, without rollups."""
    with tempfile.TemporaryDirectory() as folder, running_store(Path(folder)) as running:
        used = running.client.info("memory")["used_memory"]
        made = _readings(1.0, 1, 1_700_000_000_000)
        for first in range(0, len(made), 1000):
            part = made[first : first + 1000]
            running.client.zadd("plain", {messages.encode(reading): reading.at for reading in part})
        return float((running.client.info("memory")["used_memory"] - used) / len(made))


def _file_bytes(running: Store) -> int:
    paths = [path for ending in ("*.aof", "*.rdb") for path in running.folder.rglob(ending)]
    return sum(path.stat().st_size for path in paths)


if __name__ == "__main__":
    main()
