"""What subscribers to live events cost REST: `python -m trials.live_listeners [rounds] [seconds]`.

All processes run as an operator runs them, on one machine: Mosquitto, the store, ingest, REST, live events, 1,000
devices that publish a reading a second each, and one client that sends requests to REST at a steady rate. Each round
has three cases, in an order that changes from round to round:

- no subscribers,
- 200 idle subscribers (to a device that is silent) and 20 slow ones to all devices, half of which read 4 KB/s and half
  nothing,
- 200 subscribers that receive every reading of all devices.

Ratios are taken within a round, to the case without subscribers. The subscribers run in a second process of the trial,
so that their work loads the machine but not the client that measures.
"""

import asyncio
import contextlib
import http.client
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from broker import embedded, messages, topics
from trials import load
from trials.processes import PASSWORD, Broker, Store, free_port, running, running_broker, running_store, wait_until
from trials.services import TOKEN, environment
from trials.usage import cpu_s, resident_mb

DEVICES = load.devices(1000)
QUIET = "02ffffffffff"
"""A device that publishes its status and no readings."""
PER_S = 1000
REQUESTS_PER_S = 40
IDLE, SLOW, BUSY = 200, 20, 200
SETTLE_S = 2.0
SLOW_BYTES_PER_S = 4096
WARM_S = 5.0
PATHS = (
    "/devices",
    "/devices/{}?step=10s",
    "/devices/{}/summary",
    "/devices/{}/events",
    "/meta",
)


class Case(NamedTuple):
    """Which subscribers there are while REST is measured."""

    name: str
    idle: int = 0
    slow: int = 0
    busy: int = 0


CASES = (
    Case("no subscribers"),
    Case(f"{IDLE} idle and {SLOW} slow", idle=IDLE, slow=SLOW),
    Case(f"{BUSY} that receive all", busy=BUSY),
)


class Result(NamedTuple):
    """One case of one round."""

    times_ms: list[float]
    live_share: float
    """CPU time of the live process, as a share of a core."""
    live_mb: float


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 12.0
    found: dict[str, list[Result]] = {case.name: [] for case in CASES}
    total_s = WARM_S + rounds * len(CASES) * (seconds + SETTLE_S + 3)
    with tempfile.TemporaryDirectory() as name, _services(Path(name)) as (broker, api, live, live_pid):
        print(f"the live process holds {resident_mb(live_pid):.0f} MB without subscribers")
        with load.publishing(broker.port, _packets(total_s), PER_S) as go:
            go.set()
            time.sleep(WARM_S)
            for number in range(rounds):
                turn = number % len(CASES)
                for case in (*CASES[turn:], *CASES[:turn]):
                    result = _measure(case, api, live, live_pid, seconds)
                    found[case.name].append(result)
                    p50, p99 = _percentiles(result.times_ms)
                    print(f"  round {number + 1}: {case.name:<24} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms", flush=True)
        _report(found, rounds)
        told = _metrics(live)
        ended = {key[1]: int(value) for key, value in told.items() if key[0] == "moodwire_live_listeners_ended_total"}
        print(
            f"the live process delivered {told['moodwire_live_events_sent_total',]:.0f} events, from "
            f"{told['moodwire_live_events_total',]:.0f} published; subscribers ended: {ended}"
        )


def _report(found: dict[str, list[Result]], rounds: int) -> None:
    first = found[CASES[0].name]
    print(
        f"{'':<24}{'requests':>9}{'p50 ms':>8}{'p99 ms':>8}{'x p50':>7}{'x p99':>7}{'x p99 of all':>14}"
        f"{'CPU of live':>13}{'its MB':>8}"
    )
    for case, results in found.items():
        of_all = _percentiles([time_ms for result in results for time_ms in result.times_ms])
        of_all_first = _percentiles([time_ms for result in first for time_ms in result.times_ms])
        p50s, p99s = zip(*[_percentiles(result.times_ms) for result in results], strict=True)
        p50s_first, p99s_first = zip(*[_percentiles(result.times_ms) for result in first], strict=True)
        print(
            f"{case:<24}{sum(len(result.times_ms) for result in results):>9}{of_all[0]:>8.1f}{of_all[1]:>8.1f}"
            f"{_ratio(p50s, p50s_first):>7.2f}{_ratio(p99s, p99s_first):>7.2f}{of_all[1] / of_all_first[1]:>14.2f}"
            f"{100 * statistics.median(result.live_share for result in results):>11.0f} %"
            f"{max(result.live_mb for result in results):>8.0f}"
        )
    print(
        f"medians of {rounds} interleaved rounds' own ratios; {PER_S} readings/s from {len(DEVICES)} devices, "
        f"{REQUESTS_PER_S} requests/s; percentiles over all requests of all rounds"
    )


def _measure(case: Case, api: str, live: str, live_pid: int, seconds: float) -> Result:
    """Measure REST at a steady rate for some seconds, with the subscribers of a case."""
    with _listening(case, live):
        before_s, start_s = cpu_s(live_pid), time.monotonic()
        times_ms = list(_ask(api, seconds))
        share = (cpu_s(live_pid) - before_s) / (time.monotonic() - start_s)
        return Result(times_ms, share, resident_mb(live_pid))


def _ask(api: str, seconds: float) -> Iterator[float]:
    """Yield the time of each request in ms since it was due, so that waiting for an earlier request counts."""
    connection = http.client.HTTPConnection(api)
    start_s = time.monotonic()
    for number in range(int(seconds * REQUESTS_PER_S)):
        due_s = start_s + number / REQUESTS_PER_S
        time.sleep(max(0.0, due_s - time.monotonic()))
        path = PATHS[number % len(PATHS)].format(DEVICES[number % len(DEVICES)])
        connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} was answered {answer.status}: {body[:200]!r}")
        yield (time.monotonic() - due_s) * 1000
    connection.close()


def _percentiles(times_ms: list[float]) -> tuple[float, float]:
    ordered = sorted(times_ms)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def _ratio(mine: tuple[float, ...], its: tuple[float, ...]) -> float:
    return statistics.median(one / other for one, other in zip(mine, its, strict=True))


@contextmanager
def _services(folder: Path) -> Iterator[tuple[Broker, str, str, int]]:
    """Run everything; yield the broker, REST and live events (host:port each), and the live process."""
    api, live = free_port(), free_port()
    with (
        running_broker(folder / "broker") as broker,
        running_store(folder / "store") as store,
        running(_moodwire("ingest"), folder / "ingest.log", _ingest_settings(broker, store)),
        running(_moodwire("run"), folder / "rest.log", _settings(store, api_port=api)),
        running(_moodwire("live"), folder / "live.log", _settings(store, live_port=live)) as process,
    ):
        for port in (api, live):
            wait_until(partial(_is_ready, port), f"all is ready; the logs are in {folder}")
        status = messages.Status(
            state="online",
            boot=load.boot(1),
            connection=1,
            name="Quiet",
            labels=("ANG", "HAP", "NEU"),
            model="m",
            version="0",
        )
        client = load.connected(broker.port, load.PROBE)
        client.loop_start()
        client.publish(topics.topic(QUIET, "status"), messages.encode(status), qos=1).wait_for_publish()
        client.loop_stop()
        yield broker, f"127.0.0.1:{api}", f"127.0.0.1:{live}", process.pid


def _moodwire(command: str) -> list[str]:
    return [sys.executable, "-m", "moodwire", "server", command]


def _ingest_settings(broker: Broker, store: Store) -> dict[str, str]:
    account = {"mqtt_username": embedded.SERVER_ACCOUNT, "mqtt_password": PASSWORD}
    return environment(mqtt_url=broker.url, redis_url=store.url, **account)


def _settings(store: Store, **ports: int) -> dict[str, str]:
    return environment(redis_url=store.url, viewer_token=TOKEN, operator_token=f"o{TOKEN}", **ports)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def _metrics(live: str) -> dict[tuple[str, ...], float]:
    """Return the metrics of the live process: name and values of the labels → value."""
    connection = http.client.HTTPConnection(live)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        text = connection.getresponse().read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _packets(seconds: float) -> list[bytes]:
    """Return readings of each device in turn, dated when they will be sent, so that they are live events."""
    begin = int(time.time() * 1000) + int(WARM_S * 1000)
    made = []
    for number in range(int(seconds * PER_S)):
        seq, which = divmod(number, len(DEVICES))
        reading = load.reading(1, seq, begin + number * 1000 // PER_S)
        made.append(load.packet(topics.topic(DEVICES[which], "reading"), messages.encode(reading), number))
    return made


@contextmanager
def _listening(case: Case, live: str) -> Iterator[None]:
    """Run the subscribers of a case in a process of their own as long as the context lasts."""
    if case == CASES[0]:
        time.sleep(SETTLE_S)
        yield
        return
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=lambda: asyncio.run(_listen(case, live, ready)), daemon=True)
    child.start()
    try:
        ready.wait(30)
        time.sleep(SETTLE_S)
        if (there := _metrics(live)["moodwire_live_listeners",]) < case.idle + case.busy:
            raise SystemExit(f"only {there:.0f} subscribers are connected")
        yield
    finally:
        child.terminate()
        child.join()
        wait_until(lambda: _metrics(live)["moodwire_live_listeners",] <= case.slow, "the subscribers have gone", 0.2)


async def _listen(case: Case, live: str, ready: Any) -> None:
    """Open all connections, and read from them as each kind of subscriber does."""
    all_devices, one = "/api/v1/live", f"/api/v1/devices/{QUIET}/live"
    tasks = []
    for path, count, bytes_per_s in (
        (one, case.idle, None),
        (all_devices, case.busy, None),
        (all_devices, case.slow // 2, SLOW_BYTES_PER_S),
        (all_devices, case.slow - case.slow // 2, 0),
    ):
        for _ in range(count):
            connection = await _connect(live, path, small=bytes_per_s is not None)
            tasks.append(asyncio.create_task(_read(connection, bytes_per_s)))
    ready.set()
    await asyncio.gather(*tasks)


async def _connect(live: str, path: str, *, small: bool) -> socket.socket:
    """Return a subscribed connection; a small receive buffer lets the server feel a slow reader sooner."""
    host, _, port = live.rpartition(":")
    connection = socket.socket()
    connection.setblocking(False)  # noqa: FBT003 -- positional only
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (host, int(port)))
    request = f"GET {path} HTTP/1.1\r\nHost: {live}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    await loop.sock_sendall(connection, request.encode())
    return connection


async def _read(connection: socket.socket, bytes_per_s: int | None) -> None:
    """Read at a rate; None: as fast as data comes, 0: nothing."""
    loop = asyncio.get_running_loop()
    while bytes_per_s != 0:
        if not await loop.sock_recv(connection, bytes_per_s // 4 if bytes_per_s else 65_536):
            return
        if bytes_per_s:
            await asyncio.sleep(0.25)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
