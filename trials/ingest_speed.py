"""How fast ingest is beside what people wire up instead: `python -m trials.ingest_speed [rounds] [node-red folder]`.

Each round gives the same load (1,000 devices, QoS 1, one reading in each message, as fast as Mosquitto takes it) to

- `mosquitto_sub`, a subscriber in C that throws everything away, if it is installed: what the broker can deliver,
- a naive callback: paho, JSON, one round trip to the store for each message, no rollups, acknowledged by itself,
- Node-RED with node-red-contrib-redis, if a folder with both is named (`npm install node-red node-red-contrib-redis`),
- `moodwire server ingest`: acknowledged by hand once the store has answered, repeats sorted out, rollups, `stored`,
- the same over paho's own socket instead of `server.ingest.bulk_client`,
- the first of the two with 50 readings in each message, as a device sends a backlog.

All have a store with an append-only file: ours synchronises it before each answer, the others' once a second. Then
come the time from publish to readable over REST at 2,000 messages/s, and the memory of ingest over a million readings.
"""

import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from broker import embedded, messages, topics
from server.store import keys
from trials import load
from trials.processes import (
    PASSWORD,
    Broker,
    Store,
    free_port,
    running,
    running_broker,
    running_store,
    wait_until,
)
from trials.usage import cpu_s, resident_mb

MESSAGES = 30_000
IN_ARRAYS = 100_000
DEVICES = load.devices(1000)
PER_S = 2000
PROBES = 200
LOG = "log"
NAIVE = """
import json, sys
import paho.mqtt.client as mqtt, redis
store = redis.Redis.from_url(sys.argv[2])
def on_message(client, userdata, message):
    store.rpush(message.topic, json.dumps(json.loads(message.payload)))
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="naive")
client.username_pw_set("server", sys.argv[3])
client.on_message = on_message
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.subscribe("moodwire/v1/+/reading", qos=1)
client.loop_forever()
"""
OVER_PLAIN_PAHO = """
import moodwire
from server.ingest import connection
from trials.plain_client import PlainClient
connection.BulkClient = PlainClient
moodwire.main()
"""


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    node_red = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(rounds):
            for contender, result in _round(folder / str(number), number, node_red):
                found.setdefault(contender, []).append(result)
                print(f"  round {number + 1}: {contender:<28} {result[0]:>8.0f} readings/s", flush=True)
        _report(found, rounds)
        _latency(folder / "latency")
        _memory(folder / "memory")


def _report(found: dict[str, list[tuple[float, float]]], rounds: int) -> None:
    peers = f"{'x C subscriber':>15} {'x naive':>8} {'x Node-RED':>11} {'x plain paho':>13}"
    print(f"{'':<28} {'readings/s':>10} {'CPU us':>8} {peers}")
    for contender, results in found.items():
        rate, cpu = (statistics.median(column) for column in zip(*results, strict=True))
        ratios = []
        for peer in ("C subscriber", "naive callback", "Node-RED", "moodwire over plain paho"):
            pairs = [mine[0] / its[0] for mine, its in zip(results, found.get(peer, []), strict=False)]
            ratios.append(f"{statistics.median(pairs):.2f}" if pairs else "-")
        columns = f"{ratios[0]:>15} {ratios[1]:>8} {ratios[2]:>11} {ratios[3]:>13}"
        print(f"{contender:<28} {rate:>10.0f} {cpu:>8.1f} {columns}")
    print(f"medians of {rounds} interleaved rounds of {MESSAGES} readings; ratios are medians of each round's own")


def _round(folder: Path, number: int, node_red: Path | None) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield each contender's readings per second and microseconds of its own processor time for each."""
    now_ms = int(time.time() * 1000)
    single = load.packets(number, DEVICES, MESSAGES, 1, now_ms)
    arrays = load.packets(number, DEVICES, IN_ARRAYS, 50, now_ms)
    contenders: list[tuple[str, Callable[[Path, Broker, Store], contextlib.AbstractContextManager[int]], list[bytes]]]
    contenders = [
        *([("C subscriber", _c_subscriber, single)] if shutil.which("mosquitto_sub") else []),
        ("naive callback", _naive, single),
        *([("Node-RED", _node_red(node_red), single)] if node_red else []),
        ("moodwire", _moodwire, single),
        ("moodwire over plain paho", _over_plain_paho, single),
        ("moodwire, 50 in a message", _moodwire, arrays),
    ]
    for name, start, made in contenders:
        here = folder / name.replace(" ", "-")
        here.mkdir(parents=True)
        total = IN_ARRAYS if made is arrays else MESSAGES
        extra = () if name.startswith("moodwire") else ("--appendfsync", "everysec")
        with running_broker(here / "broker") as broker, running_store(here / "store", extra=extra) as store:
            with start(here, broker, store) as pid, load.publishing(broker.port, made) as go:
                before_s, start_s = cpu_s(pid), time.monotonic()
                go.set()
                done = _ended(pid) if name == "C subscriber" else _stored(store, total, name.startswith("moodwire"))
                wait_until(done, f"{name} has all", 0.01)
                wall_s = time.monotonic() - start_s
                used_s = 0.0 if name == "C subscriber" else cpu_s(pid) - before_s
            yield name, (total / wall_s, used_s / total * 1e6)


def _stored(store: Store, total: int, ours: bool) -> Callable[[], bool]:  # noqa: FBT001 -- private, and named by its caller
    """Return what tells whether all is stored; looks only at the devices that are not complete yet."""
    missing = set(DEVICES)
    each = total // len(DEVICES)

    def all_there() -> bool:
        # Devices get their readings in turn, so as long as the first ones miss some, it would not help to ask for all.
        for ids in (sorted(missing)[:5], sorted(missing)):
            pipe = store.client.pipeline(transaction=False)
            for device in ids:
                pipe.hget(keys.base(device), "readings") if ours else pipe.llen(topics.topic(device, "reading"))
            have = [int(count or 0) >= each for count in pipe.execute()]
            missing.difference_update(device for device, complete in zip(ids, have, strict=True) if complete)
            if not all(have):
                break
        return not missing

    return all_there


def _ended(pid: int) -> Callable[[], bool]:
    def ended() -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    return ended


@contextlib.contextmanager
def _c_subscriber(_folder: Path, broker: Broker, _store: Store) -> Iterator[int]:
    argv = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.port), "-u", embedded.SERVER_ACCOUNT, "-P", PASSWORD]
    argv += ["-q", "1", "-t", topics.subscription("reading"), "-C", str(MESSAGES), "-i", "c"]
    with running(argv, Path(os.devnull)) as process:
        time.sleep(0.5)  # it does not say when it is subscribed
        yield process.pid


@contextlib.contextmanager
def _naive(folder: Path, broker: Broker, store: Store) -> Iterator[int]:
    with running([sys.executable, "-c", NAIVE, str(broker.port), store.url, PASSWORD], folder / LOG) as process:
        wait_until(lambda: "ready" in (folder / LOG).read_text(), "the naive callback is subscribed")
        yield process.pid


def _moodwire(folder: Path, broker: Broker, store: Store) -> contextlib.AbstractContextManager[int]:
    return _ingest(["-m", "moodwire"], folder, broker, store)


def _over_plain_paho(folder: Path, broker: Broker, store: Store) -> contextlib.AbstractContextManager[int]:
    return _ingest(["-c", OVER_PLAIN_PAHO], folder, broker, store)


@contextlib.contextmanager
def _ingest(program: list[str], folder: Path, broker: Broker, store: Store) -> Iterator[int]:
    argv = [sys.executable, *program, "server", "ingest"]
    with running(argv, folder / LOG, _environment(broker, store)) as process:
        wait_until(lambda: "the server is online" in (folder / LOG).read_text(), "ingest is there")
        yield process.pid


def _environment(broker: Broker, store: Store) -> dict[str, str]:
    return os.environ | {
        "MOODWIRE_MQTT_URL": broker.url,
        "MOODWIRE_MQTT_USERNAME": embedded.SERVER_ACCOUNT,
        "MOODWIRE_MQTT_PASSWORD": PASSWORD,
        "MOODWIRE_REDIS_URL": store.url,
    }


def _node_red(root: Path) -> Callable[[Path, Broker, Store], contextlib.AbstractContextManager[int]]:
    @contextlib.contextmanager
    def start(folder: Path, broker: Broker, store: Store) -> Iterator[int]:
        home = folder / "home"
        home.mkdir()
        (home / "node_modules").symlink_to(root.absolute() / "node_modules")
        shutil.copy(root / "package.json", home)
        (home / "settings.js").write_text(
            "module.exports = {flowFile: 'flows.json', credentialSecret: false, uiPort: 0, uiHost: '127.0.0.1',"
            "disableEditor: true, logging: {console: {level: 'info'}}}"
        )
        options = json.dumps({"path": store.url.removeprefix("unix://")})
        flow = [
            {"id": "tab", "type": "tab", "label": "flow"},
            {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(broker.port), "clientid": "red"}
            | {"autoConnect": True, "protocolVersion": "4", "keepalive": "60", "cleansession": True},
            {"id": "in", "type": "mqtt in", "z": "tab", "topic": topics.subscription("reading"), "qos": "1"}
            | {"datatype": "json", "broker": "broker", "inputs": 0, "wires": [["out"]]},
            {"id": "redis", "type": "redis-config", "name": "r", "options": options, "optionsType": "json"},
            {"id": "out", "type": "redis-out", "z": "tab", "server": "redis", "command": "rpush", "obj": True}
            | {"topic": "", "wires": []},
        ]
        (home / "flows.json").write_text(json.dumps(flow))
        credentials = {"broker": {"user": embedded.SERVER_ACCOUNT, "password": PASSWORD}}
        (home / "flows_cred.json").write_text(json.dumps(credentials))
        argv = ["node", str(root / "node_modules/node-red/red.js"), "-u", str(home)]
        with running(argv, folder / LOG) as process:
            wait_until(lambda: "Connected to broker" in (folder / LOG).read_text(), "Node-RED is connected")
            time.sleep(0.5)  # it does not say when it is subscribed
            yield process.pid

    return start


def _latency(folder: Path) -> None:
    """Print how long it takes from publishing a reading to reading it over REST, at a steady load."""
    folder.mkdir()
    with running_broker(folder / "broker") as broker, running_store(folder / "store") as store:
        port = free_port()
        environment = _environment(broker, store) | {
            "MOODWIRE_API_PORT": str(port),
            "MOODWIRE_REQUESTS_PER_MINUTE": "0",
        }
        environment |= {"MOODWIRE_VIEWER_TOKEN": "v" * 32, "MOODWIRE_OPERATOR_TOKEN": "o" * 32}
        made = load.packets(1, DEVICES, PER_S * 60, 1, int(time.time() * 1000))
        with (
            _moodwire(folder, broker, store) as pid,
            running([sys.executable, "-m", "moodwire", "server", "run"], folder / "rest.log", environment),
            load.publishing(broker.port, made, PER_S) as go,
        ):
            base = f"http://127.0.0.1:{port}/api/v1"
            wait_until(lambda: _get(f"{base}/devices") is not None, "REST answers", 0.2)
            before_s, start_s = cpu_s(pid), time.monotonic()
            go.set()
            times_ms = _probe(base, broker)
            share = (cpu_s(pid) - before_s) / (time.monotonic() - start_s)
    times_ms.sort()
    print(
        f"publish to readable over REST at {PER_S} messages/s: p50 {times_ms[len(times_ms) // 2]:.0f} ms, "
        f"p99 {times_ms[int(len(times_ms) * 0.99)]:.0f} ms ({len(times_ms)} probes; "
        f"ingest uses {100 * share:.0f} % of a core)"
    )


def _probe(base: str, broker: Broker) -> list[float]:
    """Return milliseconds from publish to readable, one probe after the other."""
    device, times_ms = "0200ffffffff", []
    client = load.connected(broker.port, load.PROBE)
    client.loop_start()
    time.sleep(2)
    for seq in range(PROBES):
        at = int(time.time() * 1000)
        start_s = time.monotonic()
        client.publish(topics.topic(device, "reading"), messages.encode(load.reading(0, seq, at)), qos=1)
        while True:
            answer = _get(f"{base}/devices/{device}?start={(at - 1) / 1000}&end={(at + 1) / 1000}&step=1s")
            if answer and answer.get("timestamps"):
                break
            time.sleep(0.002)
        times_ms.append((time.monotonic() - start_s) * 1000)
    client.loop_stop()
    return times_ms


def _get(url: str) -> dict[str, list[object]] | None:
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + "v" * 32})
    try:
        with urllib.request.urlopen(request) as answer:
            found: dict[str, list[object]] = json.load(answer)
            return found
    except OSError:
        return None


def _memory(folder: Path) -> None:
    """Print the memory of ingest while a million readings pass through it."""
    folder.mkdir()
    with (
        running_broker(folder / "broker") as broker,
        running_store(folder / "store") as store,
        contextlib.ExitStack() as stack,
    ):
        pid = stack.enter_context(_moodwire(folder, broker, store))
        sizes = []
        for part in range(10):
            made = load.packets(100 + part, DEVICES, 100_000, 1, int(time.time() * 1000))
            with load.publishing(broker.port, made) as go:
                go.set()
                wait_until(_stored(store, 100_000 * (part + 1), ours=True), "ingest has all", 0.1)
            sizes.append(resident_mb(pid))
    print(
        "resident memory of ingest after each 100,000 messages: " + ", ".join(f"{size:.0f}" for size in sizes) + " MB"
    )


if __name__ == "__main__":
    main()
