"""What is fuzzed: each target takes bytes, refuses them as its callers expect, and checks what it makes of them."""

import functools
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import typed_settings as ts
from typed_settings import cls_utils
from typed_settings.loaders import Loader
from werkzeug.test import EnvironBuilder

import models.bundle
import moodwire
from broker import messages, topics
from broker.messages import Heard, Reading, WireError
from common import wav_header
from common.decoding import JSON_ERRORS
from device.control.overrides import Overrides
from device.settings import DeviceSettings
from models.bundle import BundleError
from server.ingest.decode import decode
from server.ops.backup_archive import restore
from server.ops.backup_check import Checker, LineError
from server.ops.backup_format import AnyLine, DeviceLine
from server.settings import ServerSettings
from server.store import codec
from trials.processes import running_store

DEVICE = "0123456789ab"
MAC = "01:23:45:67:89:ab"
GOOD = Reading(
    boot="00000000000000aa", seq=67_000_000, gen=1, at=1_760_000_000_000, span_ms=3000, state="speech",
    scores={"ANG": 0.5, "HAP": 0.5}, level_dbfs=-23.5, model="m-1", clock_synced=True,
)  # fmt: skip
"""A neighbour in the same message, which must come through."""
HEARD = Heard(
    boot="00000000000000aa", seq=3, gen=0, at=1_760_000_060_000, span_ms=60_000, windows=60, silent=40, speech=15,
    uncertain=5, dropped=0, level_dbfs=-50.5, clipping=0.0, snr_db=12.5,
)  # fmt: skip
STATUS = messages.Status(
    state="online", boot="00000000000000aa", connection=1, name="Kitchen", labels=("ANG", "HAP"), model="m-1",
    version="1", gate_dbfs=-50.0, models=("m-1",),
)  # fmt: skip
OTHERS: list[messages.Message] = [
    STATUS,
    messages.Stored(boot="00000000000000aa", stored=((0, 5),), refused=((7, 8, "why"),)),
    messages.Generation(gen=3),
    messages.ServerStatus(state="online"),
    messages.SetCommand(transaction="t", name="Hall", gate_dbfs=-40.0, paused=True),
    messages.ModelCommand(transaction="t", source="https://example.org/m"),
    messages.CommandResponse(transaction="t", status="error", error="no"),
    messages.LiveState(at=1, state="speech", top="ANG", scores={"ANG": 1.0}, level_dbfs=-20.0),
]


class Target(NamedTuple):
    """One thing to fuzz."""

    seeds: list[bytes]
    take: Callable[[bytes], bool]
    """Takes one input, and returns whether it was accepted; raises if something is wrong."""
    is_json: bool = True
    given: list[int] | None = None
    """How many messages were made of the inputs, where it is not one each."""


def wire() -> Iterator[Target]:
    """Ingest's decoder, and what packs its records for the store; every message a device or a server reads.

    Each input is a message on each topic, one between two good neighbours, and one of some other kind.
    """
    good = messages.encode(GOOD)
    heard = messages.encode(HEARD)
    seeds = [
        good,
        heard,
        *(messages.encode(one) for one in OTHERS),
        messages.join([good, good]),
        messages.join([heard] * 5),
    ]
    kinds = [Reading, Heard, *(type(one) for one in OTHERS)]

    places = {kind: topics.topic(DEVICE, kind) for kind in ("reading", "heard", "status", "health")}
    given = [0]

    def take(payload: bytes) -> bool:
        found = 0
        for kind, topic in places.items():
            given[0] += 1
            try:
                records = decode(topic, payload).records
            except WireError:
                continue
            found += len(records)
            for record in records:
                _pack(record)
            if kind in {"reading", "heard"}:
                given[0] += 1
                _check_neighbours(topic, payload, good if kind == "reading" else heard)
        given[0] += 1
        try:
            messages.encode(messages.decode(payload, kinds[hash(payload) % len(kinds)]))
        except WireError:
            messages.transaction(payload)
        return found > 0

    yield Target(seeds, take, given=given)


def _check_neighbours(topic: str, payload: bytes, neighbour: bytes) -> None:
    """Check that good records on both sides of whatever can be read come through."""
    whole = messages.join([neighbour, payload, neighbour])
    if len(whole) <= messages.MAX_PAYLOAD_BYTES and whole.count(b'"boot"') <= messages.MAX_BATCH:
        records = decode(topic, whole).records
        if sum(record in (GOOD, HEARD) for record in records) < 2:
            raise AssertionError("a good neighbour is lost")


def _pack(record: Any) -> None:
    if isinstance(record, Reading):
        text, packed = codec.pack_reading(record)
        schema = codec.parse_schema(text)
        if (schema.model, set(schema.labels)) != (record.model, set(record.scores)) or not packed:
            raise AssertionError("a reading is packed as another one")
    elif isinstance(record, Heard):
        codec.pack_heard(record)


def manifests() -> Iterator[Target]:
    """Manifests of bundles."""
    seeds = [(folder / "manifest.json").read_bytes() for folder in sorted(models.bundle.SHIPPED.iterdir())]

    class File:
        """Stands for a file."""

        content = b""

        def read_bytes(self) -> bytes:
            return self.content

        def __str__(self) -> str:
            return "manifest.json"

    file: Any = File()

    def take(content: bytes) -> bool:
        file.content = content
        try:
            manifest = models.bundle._read_manifest(file)  # noqa: SLF001 - what reads a file's bytes
        except BundleError:
            return False
        _ = (manifest.window_samples, manifest.hop_samples, manifest.window_frames)
        return True

    yield Target(seeds, take)


def settings() -> Iterator[Target]:
    """Files of settings, for device and server, and what commands have overridden."""
    seeds = [
        b'[device]\nname = "Kitchen"\nmic = "usb-id:1"\ngate_dbfs = -50.0\nmqtt_url = "mqtts://a.org"\nloop = true\n',
        b'[server]\nredis_url = "unix:///run/redis.sock"\nretention_days = 90\napi_port = 8080\nviewer_token = "x"\n',
        b'[device]\noutbox_max_rows = 1\nclock_wait_s = 1e1\nconfirm = "broker"\nstate_dir = "/x"\n',
        b'{"paused":true,"name":"Hall","gate_dbfs":-40.0,"model":"six","previous_model":""}',
    ]
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        toml, kept = Path(folder) / "moodwire.toml", Path(folder) / "kept.json"

        converter = ts.default_converter()
        docs = "_get_attr_docs"
        # It reads the source of the classes each time, to find comments that help shows.
        setattr(cls_utils, docs, functools.cache(getattr(cls_utils, docs)))

        def take(content: bytes) -> bool:
            accepted = False
            toml.write_bytes(content)
            for section, kind in (("device", DeviceSettings), ("server", ServerSettings)):
                loaders: list[Loader] = [ts.FileLoader({"*.toml": moodwire._Toml(section)}, files=[toml])]  # noqa: SLF001
                try:
                    ts.load_settings(kind, loaders, converter=converter)
                    accepted = True
                except (ValueError, TypeError, OSError, ts.exceptions.TsError) as error:
                    moodwire._sentence(error)  # noqa: SLF001 - what a user reads
            kept.write_bytes(content)
            try:
                Overrides.load(Path(folder)).apply(DeviceSettings())
                accepted = True
            except ValueError:
                pass
            return accepted

        yield Target(seeds, take, is_json=False)


def clips() -> Iterator[Target]:
    """Headers of clips."""
    plain = b"RIFF" + (36 + 64).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    plain += b"\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data" + (64).to_bytes(4, "little") + bytes(64)
    long = b"RF64\xff\xff\xff\xffWAVEds64" + (28).to_bytes(4, "little") + bytes(28) + plain[12:36]
    seeds = [plain, long + b"data\xff\xff\xff\xff" + bytes(64), plain.replace(b"RIFF", b"RIFX")]
    seeds += [b"FORM\0\0\0\x60AIFFCOMM\0\0\0\x12" + bytes(18) + b"SSND\0\0\0\x20" + bytes(32)]
    descriptor = os.memfd_create("clip")
    try:

        def take(content: bytes) -> bool:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, content, 0)
            header = wav_header.read(descriptor)
            if header.repair:
                with open(f"/proc/self/fd/{descriptor}", "rb", buffering=0) as raw:  # noqa: PTH123 - a descriptor
                    view = header.repaired(raw)
                    if len(view.read()) != len(content):
                        raise AssertionError("a repair changes the length")
            return header != wav_header.Header()

        yield Target(seeds, take, is_json=False)
    finally:
        os.close(descriptor)


class _NoStore:
    """Takes what a restore writes."""

    retention_ms = rollup_retention_ms = 10**11

    def execute(self, name: str, *words: Any) -> Any:
        """Answer as the store does, and take what it takes."""
        for word in words:
            if not isinstance(word, int | str | bytes):
                raise TypeError(f"{name} gets a {type(word).__name__}")
            if isinstance(word, str):
                word.encode()
            if isinstance(word, bytes) and len(word) > 9_000_000:
                raise AssertionError(f"{name} gets {len(word)} bytes")
        return 0 if words and "events" in str(words[0]) else [1, 0, 0]


def backups() -> Iterator[Target]:
    """Lines of a backup, and Python's half of their restoring."""
    about = '"device":"0123456789ab","generation":1'
    kind = '"kind":{"model":"m-1","span_ms":3000,"labels":["ANG","HAP"]}'
    seen = '"erased_at":0,"first_seen":1,"last_seen":2'
    times = '"first_at":1,"last_at":2,"first_arrival":1,"last_arrival":2'
    sums = ",".join(["1"] * 50)
    lines = (
        '{"type":"moodwire-backup","format":1,"made":"2026-01-01T00:00:00Z","version":"1"}',
        f'{{"type":"device",{about},{seen},"name":"K","state":"online","labels":"ANG","model":"m","version":"1"}}',
        f'{{"type":"boot",{about},{times},"boot":"00000000000000aa","seen":[[0,7],[9,9]]}}',
        f'{{"type":"readings",{about},{kind},"rows":[[1760000000000,"speech",-20.5,true,[0.5,0.5]]]}}',
        f'{{"type":"heard",{about},"rows":[[1760000000000,60000,60,40,15,5,0,-50.5,0.0]]}}',
        f'{{"type":"events",{about},"rows":[["1-0","online","m"]]}}',
        f'{{"type":"rollups",{about},{kind},"level":"h","group":3,"rows":[[0,[{sums}]]]}}',
        '{"type":"end","devices":1,"readings":1}',
    )
    decoder = msgspec.json.Decoder(AnyLine)
    head, device = (decoder.decode(line) for line in lines[:2])
    store: Any = _NoStore()

    def take(text: bytes) -> bool:
        checker = Checker(1_800_000_000_000, lambda _device: 1)
        checker.check(head)
        try:
            line = decoder.decode(text)
            if not isinstance(line, DeviceLine):
                checker.check(device)
            checker.check(line)
        except (*JSON_ERRORS, LineError):
            return False
        restore(store, line)
        return True

    yield Target([line.encode() for line in lines], take)


def _filled(rule: str) -> bytes:
    """Return the path of a route with a value in each place."""
    values = {"mac": MAC, "plot": "timeline", "form": "svg"}
    return re.sub("<(?:[a-z]+:)?([a-z_]+)>", lambda found: values.get(found[1], "set"), rule).encode()


def rest() -> Iterator[Target]:
    """Paths, parameters and bodies of REST, in this process over a real store."""
    from server.rest.app import create_app  # noqa: PLC0415 - takes a second
    from server.store.redis_store import RedisStore  # noqa: PLC0415
    from server.web.auth import Guard  # noqa: PLC0415

    queries = [
        b"",
        b"?start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&step=1h",
        b"?start=1760000000&step=10m",
        b"?limit=5",
    ]
    bodies = [
        b'{"command":"set","gate_dbfs":-50,"name":"Hall"}',
        b'{"command":"model","source":"/x"}',
        b'{"command":"pause"}',
    ]
    with tempfile.TemporaryDirectory() as folder, running_store(Path(folder)) as running:
        store = RedisStore(running.url, 90 * 86_400_000, 730 * 86_400_000)
        with closing(store):
            store.prepare()
            now = store.now()
            record = msgspec.structs.replace(GOOD, at=now - 1000, seq=1)
            store.write([("0123456789ab", STATUS), ("0123456789ab", record)])
            own = ServerSettings(viewer_token="v" * 20, operator_token="o" * 20, requests_per_minute=0)
            app = create_app(store, own, Guard(own, store))
            client = app.test_client()
            paths = sorted({_filled(rule.rule) for rule in app.url_map.iter_rules()})
            seeds = [path + query + b"\n" for path in paths for query in queries if b"openapi" not in path]
            seeds += [f"/api/v1/devices/{MAC}/commands\n".encode() + body for body in bodies]
            token = {"Authorization": f"Bearer {'o' * 20}"}

            def take(request: bytes) -> bool:
                target, _, body = request.partition(b"\n")
                if re.search(rb"[\x00-\x20\x7f]", target):
                    return False  # no request line has these: waitress refuses them
                path, _, query = target.decode("latin-1").partition("?")
                method, kind = ("POST", "application/json") if body else ("GET", None)
                builder = EnvironBuilder(
                    method=method, headers=list(token.items()), data=body or None, content_type=kind
                )
                environ = builder.get_environ() | {"PATH_INFO": "/" + path.lstrip("/"), "QUERY_STRING": query}
                answer = client.open(environ)
                if answer.status_code >= 500 and answer.status_code != 503:
                    raise AssertionError(f"{answer.status_code}: {answer.text[:200]}")
                answer.get_data()
                return answer.status_code < 400

            yield Target(seeds, take, is_json=False)


TARGETS: dict[str, Callable[[], Iterator[Target]]] = {
    "wire": wire,
    "manifests": manifests,
    "settings": settings,
    "clips": clips,
    "backups": backups,
    "rest": rest,
}
