"""The server's doctor finds what is wrong with store, broker, ingest and REST, and says what to do."""

import json
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from brokers import ACCOUNTS, RunningBroker, free_port, running_broker
from clusters import running_cluster
from patience import REPLY_S
from records import DAY_MS
from rooms import OPERATOR, VIEWER, Rest, Room
from services import RunningStore, wait_until

import moodwire
from broker import embedded
from server.store.redis_store import RedisStore


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no file of the person who runs the tests interfere."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """Run one broker for all tests here."""
    with running_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


class Doctor:
    """The command with its settings, and what it finds."""

    def __init__(self, capsys: pytest.CaptureFixture[str], store: RunningStore, broker: RunningBroker) -> None:
        self._capsys = capsys
        self.settings: dict[str, Any] = {
            "redis_url": store.url,
            "mqtt_url": broker.url,
            "mqtt_username": "server",
            "mqtt_password": ACCOUNTS["server"],
            "api_port": free_port(),
        }

    def run(self, *flags: str, **changes: Any) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        words = ["server", "doctor", *flags]
        for name, value in (self.settings | changes).items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        self._capsys.readouterr()
        code = moodwire.main(words)
        return code, *self._capsys.readouterr()

    def findings(self, **changes: Any) -> dict[str, Any]:
        """Return the findings by name."""
        _, out, _ = self.run("--json", **changes)
        return {check["name"]: check for check in json.loads(out)["checks"]}


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], redis_store: RunningStore, mosquitto: RunningBroker) -> Doctor:
    """Return a doctor for an empty store and a broker, with neither ingest nor REST."""
    return Doctor(capsys, redis_store, mosquitto)


@pytest.mark.slow
def test_all_is_well_where_all_runs(doctor: Doctor, tmp_path: Path) -> None:
    """With store, broker, ingest and REST there every check is ok and the code is 0."""
    settings = doctor.settings | {"viewer_token": VIEWER, "operator_token": OPERATOR}
    rest = Rest(doctor.settings["api_port"])
    with Room(tmp_path, "server", "ingest", **settings) as ingest, Room(tmp_path, "server", "run", **settings):
        wait_until(rest.ready, "REST is ready")
        wait_until(lambda: doctor.findings()["server_status"]["result"] == "ok", "ingest has heard its own status")
        code, out, _ = doctor.run(viewer_token=VIEWER)
        assert "is lost" not in ingest.log, "the doctor does not throw out ingest, whose account it has"
    assert code == 0, out
    assert "FAIL" not in out
    assert "lets server hear devices and answer them" in out
    assert "1 viewer and 0 operator tokens" in out


@pytest.mark.slow
def test_what_does_not_run_is_named_with_what_to_do(doctor: Doctor) -> None:
    """Without ingest and REST both fail with the command that starts them; the rest is still looked at."""
    code, out, _ = doctor.run()
    assert code == 1
    assert "moodwire server ingest" in out
    assert "moodwire server run" in out
    found = doctor.findings()
    results = {name: check["result"] for name, check in found.items()}
    of_store = ("store", "store_strangers", "durability", "memory", "clock", "layout")
    fine = dict.fromkeys((*of_store, "broker", "broker_strangers", "broker_files"), "ok")
    fine |= {"retention": "ok"}
    missing = {"ingest": "fail", "server_status": "fail", "tokens": "warn", "rest": "fail"}
    assert results == fine | missing | {"disk": results["disk"]}
    assert all(check["todo"] for check in found.values() if check["result"] in ("warn", "fail"))


@pytest.mark.slow
def test_a_retention_that_is_not_kept_is_warned_of(doctor: Doctor, redis_store: RunningStore) -> None:
    """A day without a sweep is found, with the reason why the last one was put off."""
    store = RedisStore(redis_store.url, DAY_MS, DAY_MS)
    store.retention.begin(store.now())
    assert "not yet" in doctor.findings()["retention"]["seen"]
    store.retention.end(store.now() - 10 * 60_000, store.now())
    found = doctor.findings()["retention"]
    assert (found["result"], found["seen"]) == ("ok", "what is past the retention was deleted 10 min ago")
    store.retention.end(store.now() - 30 * 3_600_000, store.now())
    store.retention.put_off("the clock of the server shows nonsense")
    found = doctor.findings()["retention"]
    assert found["result"] == "warn"
    assert found["seen"] == "nothing was deleted by its age for 30 h: the clock of the server shows nonsense"
    store.close()


@pytest.mark.slow
def test_a_store_that_is_away_is_one_failure(doctor: Doctor) -> None:
    """What cannot be asked of a store that is away is skipped, not failed."""
    found = doctor.findings(redis_url="redis://127.0.0.1:1/0")
    assert found["store"]["result"] == "fail"
    assert "does not answer" in found["store"]["seen"]
    others = ("durability", "memory", "disk", "clock", "layout", "ingest", "retention", "tokens")
    assert {found[name]["result"] for name in others} == {"skip"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("appendfsync", "no", "a power cut loses what was confirmed"),
        ("maxmemory-policy", "volatile-lru", "deletes readings when memory is short: volatile-lru"),
    ],
)
def test_a_store_that_would_lose_data_fails(
    doctor: Doctor, redis_store: RunningStore, setting: str, value: str, sentence: str
) -> None:
    """A store that does not keep what it confirms, or drops keys when memory is short, is found."""
    was = redis_store.client.config_get(setting)[setting]
    redis_store.client.config_set(setting, value)
    try:
        found = doctor.findings()
    finally:
        redis_store.client.config_set(setting, was)
    failed = [check["seen"] for check in found.values() if check["result"] == "fail"]
    assert [seen for seen in failed if sentence in seen]


def test_little_memory_is_a_warning(doctor: Doctor, redis_store: RunningStore) -> None:
    """A store that has used most of the memory that it may use is told before ingest has to wait."""
    used = int(redis_store.client.info("memory")["used_memory"])
    redis_store.client.config_set("maxmemory", used * 11 // 10)
    try:
        found = doctor.findings()
    finally:
        redis_store.client.config_set("maxmemory", 0)
    assert found["memory"]["result"] == "warn"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mqtt_password": "wrong"}, "refuses server: Not authorized"),
        (
            {"mqtt_username": "aabbccddeeff", "mqtt_password": ACCOUNTS["aabbccddeeff"]},
            "does not let aabbccddeeff",
        ),
        ({"mqtt_url": "mqtt://127.0.0.1:1"}, "cannot be reached: Connection refused"),
    ],
)
def test_a_broker_that_does_not_do_is_named(doctor: Doctor, changes: dict[str, Any], sentence: str) -> None:
    """A wrong password, an account with a device's rights, and a broker that is not there are told apart."""
    found = doctor.findings(**changes)["broker"]
    assert found["result"] == "fail"
    assert sentence in found["seen"]
    assert found["todo"]


def test_a_broker_that_lets_anybody_in_is_named(doctor: Doctor, tmp_path: Path) -> None:
    """Debian's own Mosquitto on the port does all that ingest needs, and all that anybody wants."""
    port = free_port()
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    program = embedded.prepare(tmp_path / "unused", "127.0.0.1", port, ACCOUNTS).argv[0]

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(listens, "it listens")
            found = doctor.findings(mqtt_url=f"mqtt://127.0.0.1:{port}")
        finally:
            process.terminate()
    assert found["broker_strangers"]["result"] == "fail"
    assert "lets anybody in without an account" in found["broker_strangers"]["seen"]
    assert "systemctl disable --now mosquitto" in found["broker_strangers"]["todo"]


@pytest.mark.slow
def test_a_broker_with_few_open_files_is_a_warning(doctor: Doctor, mosquitto: RunningBroker) -> None:
    """With the usual limit, a thousand strangers who connect and say nothing keep all devices out."""
    was = resource.prlimit(mosquitto.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(mosquitto.process.pid, resource.RLIMIT_NOFILE, (1024, was[1]))
    try:
        found = doctor.findings()["broker_files"]
    finally:
        resource.prlimit(mosquitto.process.pid, resource.RLIMIT_NOFILE, was)
    assert found["result"] == "warn"
    assert "may open 1024 files" in found["seen"]
    assert "LimitNOFILE" in found["todo"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "result", "sentence"),
    [
        (b"", "fail", "the broker holds nothing on moodwire/v1/server/status"),
        (b"nonsense", "fail", "moodwire/v1/server/status holds no status of a server (JSON is malformed"),
        (b'{"v":2,"state":"online"}', "fail", "holds no status of a server (Invalid enum value 2"),
        (b'{"v":1,"state":"offline"}', "fail", "the broker tells devices that the server is offline"),
        (b'{"v":1,"state":"online"}', "ok", "the broker tells devices that the server is online"),
    ],
)
def test_what_devices_are_told_of_the_server_is_read(
    doctor: Doctor, mosquitto: RunningBroker, payload: bytes, result: str, sentence: str
) -> None:
    """Whatever stands in its place, the doctor says so: all devices wait until it is `online`."""
    with mosquitto.client("server") as client:
        client.publish("moodwire/v1/server/status", payload, qos=1, retain=True).wait_for_publish(REPLY_S)
    found = doctor.findings()["server_status"]
    assert found["result"] == result
    assert sentence in found["seen"]
    assert bool(found["todo"]) == (result == "fail")


def test_settings_that_are_none_are_code_2(doctor: Doctor) -> None:
    """A URL that is none ends the doctor with code 2 and a sentence."""
    code, out, err = doctor.run(mqtt_url="http://127.0.0.1")
    assert (code, out) == (2, "")
    assert "is not the URL of a broker" in err


def test_a_store_of_a_newer_version_is_found(doctor: Doctor, redis_store: RunningStore) -> None:
    """Data in a layout that this version does not know is a failure."""
    redis_store.client.set("mw:layout", 99)
    found = doctor.findings()["layout"]
    assert found["result"] == "fail"
    assert "holds data in layout 99" in found["seen"]


@pytest.mark.slow
def test_every_server_of_a_cluster_is_looked_at(doctor: Doctor, tmp_path: Path) -> None:
    """One node of a cluster that would lose what is confirmed is found and named, whichever it is."""
    with running_cluster(tmp_path) as cluster:
        found = doctor.findings(redis_url=cluster.url)
        assert {found[name]["result"] for name in ("cluster", "store", "durability", "memory", "clock")} == {"ok"}
        assert "3 primaries keep 16384 of 16384 slots" in found["cluster"]["seen"]
        for port in cluster.ports:
            assert f"at 127.0.0.1:{port}" in found["store"]["seen"]
            with redis.Redis(port=port) as node:
                node.config_set("appendfsync", "no")
                found = doctor.findings(redis_url=cluster.url)
                node.config_set("appendfsync", "always")
            assert found["durability"]["result"] == "fail"
            assert found["durability"]["seen"].startswith(f"127.0.0.1:{port}: appendonly is yes, appendfsync is no")
            assert ";" not in found["durability"]["seen"]
