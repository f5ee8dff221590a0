"""How fast a Redis Cluster takes readings, compared with one server: `python -m trials.cluster_speed [rounds]`.

Each round writes 20,000 readings of 1,000 devices, in batches of 500 as ingest does under load, into one server and
into a cluster of three primaries, all on loopback with `appendfsync always`; each batch is on disk before the next. It
prints readings per second, rollups and bitmaps included. On a machine with fewer cores than servers a cluster cannot be
faster: the trial shows its cost, and its gain needs three machines.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import redis

from server.store.embedded import store_command
from server.store.keys import DAY_MS
from server.store.redis_store import RedisStore
from trials import load
from trials.processes import free_port, running, wait_until

READINGS = 20_000
BATCH = 500
DEVICES = load.devices(1000)
PRIMARIES = 3


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(Path(folder) / "one") as port,
        _cluster(Path(folder)) as first,
    ):
        stores = {
            "one server": RedisStore(f"redis://127.0.0.1:{port}", 90 * DAY_MS, 730 * DAY_MS),
            f"cluster of {PRIMARIES}": RedisStore(f"cluster+redis://127.0.0.1:{first}", 90 * DAY_MS, 730 * DAY_MS),
        }
        rates: dict[str, list[float]] = {name: [] for name in stores}
        for store in stores.values():
            store.prepare()
        for number in range(rounds):
            for name, store in stores.items():
                rates[name].append(_write(store, number))
        for store in stores.values():
            store.close()
    for name, found in rates.items():
        print(f"{name:<16}{statistics.median(found):>9,.0f} readings/s")
    ratio = statistics.median(many / one for one, many in zip(*rates.values(), strict=True))
    print(f"ratio {ratio:.2f}; medians of {rounds} interleaved rounds of {READINGS:,} readings")


def _write(store: RedisStore, number: int) -> float:
    """Return readings per second."""
    now = store.now()
    made = [
        (DEVICES[which % len(DEVICES)], load.reading(number, which // len(DEVICES), now - which))
        for which in range(READINGS)
    ]
    start_s = time.monotonic()
    for first in range(0, READINGS, BATCH):
        outcomes = store.write(made[first : first + BATCH])
        assert all(outcome and outcome.kind == "stored" for outcome in outcomes)
    return READINGS / (time.monotonic() - start_s)


@contextmanager
def _server(folder: Path, *options: str) -> Iterator[int]:
    """Run one server and yield its port."""
    port = free_port()
    argv = [*store_command(folder).argv, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", "", *options]
    with running(argv, folder / "store.log"), redis.Redis(port=port) as client:
        wait_until(lambda: _answers(client), "the store answers")
        yield port


@contextmanager
def _cluster(folder: Path) -> Iterator[int]:
    """Run a cluster and yield the port of its first node."""
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-port")
        ports = [
            stack.enter_context(_server(folder / str(number), *options, str(free_port())))
            for number in range(PRIMARIES)
        ]
        words = ["redis-cli", "--cluster", "create", *(f"127.0.0.1:{port}" for port in ports), "--cluster-yes"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        for port in ports:
            with redis.Redis(port=port) as node:
                wait_until(partial(_in_a_cluster, node), "the cluster is up")
        yield ports[0]


def _in_a_cluster(node: redis.Redis) -> bool:
    return "'ok'" in str(node.execute_command("CLUSTER INFO"))  # type: ignore[no-untyped-call]  # redis-py's own


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


if __name__ == "__main__":
    main()
