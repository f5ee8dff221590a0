"""Commands: kept before they are answered, done once, and a model only if signed, whole and right on this machine."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from bundles import copy_bundle
from hypothesis import given
from hypothesis import strategies as st
from services import wait_until

import models.bundle
from broker.messages import CommandResponse
from broker.topics import COMMANDS, CommandName
from device.control import model_update
from device.control.commands import Commands
from device.control.overrides import Overrides
from device.inference.model import load_first_usable
from device.settings import DeviceSettings
from models import packing, signing

PRIVATE = bytes(range(32))
OWN = models.bundle.find(models.bundle.DEFAULT)
PACKED = packing.pack(OWN, PRIVATE)


class Operator:
    """A device's commands, and what they answer."""

    def __init__(self, state_dir: Path, **changes: Any) -> None:
        key = signing.public_key(PRIVATE)
        self.settings = DeviceSettings(**{"name": "Kitchen", "state_dir": state_dir, "model_key": key} | changes)
        self.answers: list[tuple[str, CommandResponse]] = []
        overrides = Overrides.load(state_dir)
        model = load_first_usable((overrides.model, overrides.previous_model), self.settings.model)
        self.commands = Commands(self.settings, overrides, model.bundle.folder)
        self._next = 0

    def ask(self, name: CommandName, /, *, transaction: str | None = None, **fields: Any) -> CommandResponse:
        """Send a command and return its answer."""
        self._next += 1
        asked = transaction or f"t{self._next}"
        self.commands.put(name, json.dumps({"transaction": asked} | fields).encode())
        before = len(self.answers)
        wait_until(lambda: self._answered(before), f"{name} is answered")
        answered, response = self.answers[before]
        assert (answered, response.transaction) == (name, asked)
        return response

    def send(self, source: object) -> CommandResponse:
        """Send a model."""
        return self.ask("model", source=str(source))

    def overrides(self) -> Overrides:
        """Return what is on disk."""
        return Overrides.load(self.settings.state_dir)

    def _answered(self, before: int) -> bool:
        self.commands.wait(0.1)
        self.commands.carry_out(lambda *answer: self.answers.append(answer))
        return len(self.answers) > before


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Return a device that takes models signed by the tests' key."""
    return Operator(tmp_path / "state")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Return the file of a signed bundle."""
    return write(tmp_path / "packed", PACKED)


def write(path: Path, content: bytes) -> Path:
    """Write a file."""
    path.write_bytes(content)
    return path


def test_what_was_changed_is_kept_and_answered(operator: Operator) -> None:
    """Pause, name and gate are in force, on disk, and there again after a restart; resume ends the pause."""
    assert operator.ask("pause").status == "ok"
    assert operator.ask("set", name="Hall", gate_dbfs=-42.5).status == "ok"

    assert operator.overrides() == Overrides(paused=True, name="Hall", gate_dbfs=-42.5)
    again = Operator(operator.settings.state_dir)
    assert again.commands.desired == operator.commands.desired
    assert again.commands.desired[:3] == (True, "Hall", -42.5)
    assert again.ask("resume").status == "ok"
    assert again.commands.desired[:3] == (False, "Hall", -42.5)


def test_a_change_is_noticed_and_no_change_is_not(operator: Operator) -> None:
    """`carry_out` tells whether there is something to adopt."""

    def carried_out(name: CommandName, transaction: str) -> bool:
        operator.commands.put(name, json.dumps({"transaction": transaction}).encode())
        return operator.commands.carry_out(lambda *_: None)

    assert carried_out("pause", "1")
    assert not carried_out("pause", "2")
    assert carried_out("resume", "3")
    assert not operator.commands.carry_out(lambda *_: None)


def test_a_command_that_comes_twice_is_done_once(operator: Operator) -> None:
    """A redelivered command gets its answer again, and does not undo what came after it."""
    first = operator.ask("pause", transaction="again")
    operator.ask("resume")

    assert operator.ask("pause", transaction="again") == first
    assert not operator.commands.desired.paused


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("set", {}, "name and gate_dbfs can be set"),
        ("set", {"name": ""}, "length >= 1"),
        ("set", {"gate_dbfs": 3}, "<= 0"),
        ("set", {"gate_dbfs": "loud"}, "this is no set command"),
        ("pause", {"v": 2}, "this is no pause command"),
        ("model", {}, "exactly one of source and rollback"),
        ("model", {"source": "/x", "rollback": True}, "exactly one of source and rollback"),
        ("model", {"rollback": True}, "no model before this one"),
        ("model", {"source": "models/bundles"}, "an absolute path is right"),
        ("model", {"source": "file:///etc/passwd"}, "an absolute path is right"),
        ("model", {"source": "/no/such/file"}, "there is no file /no/such/file on this device"),
        ("model", {"source": "/dev/zero"}, "there is no file /dev/zero on this device"),
        ("model", {"source": "http://127.0.0.1:1/x"}, "cannot be fetched"),
        ("model", {"source": "http://[x"}, "cannot be fetched"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason(
    operator: Operator, name: CommandName, fields: dict[str, object], sentence: str
) -> None:
    """A wrong command changes nothing, and the operator is told why in one sentence."""
    before = operator.commands.desired

    response = operator.ask(name, **fields)

    assert response.status == "error"
    assert sentence in str(response.error)
    assert operator.commands.desired == before


def test_a_command_that_cannot_be_answered_is_counted(operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    """Without a transaction there is nobody to answer, so it is logged with its number and its reason."""
    for payload in (b"", b"nonsense", b"{}", b'{"transaction":""}', b"\xff", b"[" * 10_000):
        assert operator.commands.take("pause", payload) is None

    assert "ignored command number 6 that is malformed (pause)" in caplog.text


@given(st.sampled_from(COMMANDS), st.binary(max_size=200))
def test_no_payload_harms_the_device(name: CommandName, payload: bytes) -> None:
    """Whatever arrives, the commands go on."""
    settings = DeviceSettings(name="Kitchen", state_dir=Path("/dev/null/no-folder"))
    commands = Commands(settings, Overrides(), OWN)

    response = commands.take(name, payload)

    assert response is None or response.status == "error", "nothing can be kept there"


def test_what_cannot_be_kept_is_not_done(operator: Operator) -> None:
    """When the state folder takes nothing, the device goes on as it was and says so."""
    operator.settings.state_dir.write_text("a file where a folder should be")

    response = operator.ask("pause")

    assert response.status == "error"
    assert "nothing changed, because it cannot be kept" in str(response.error)
    assert not operator.commands.desired.paused


def test_a_signed_model_is_taken_and_rolled_back(operator: Operator, packed: Path) -> None:
    """A model from a path is installed, in force and kept; rolling back goes to the one before, and forth again."""
    assert operator.send(packed).status == "ok"

    sent = operator.commands.desired.bundle
    assert sent.parent == operator.settings.state_dir / "models"
    assert operator.overrides() == Overrides(model=str(sent), previous_model="")
    overrides = operator.overrides()
    sent_models = (overrides.model, overrides.previous_model)
    assert load_first_usable(sent_models, operator.settings.model).bundle.folder == sent
    assert operator.ask("model", rollback=True).status == "ok"
    assert operator.commands.desired.bundle == OWN
    assert operator.ask("model", rollback=True).status == "ok"
    assert operator.commands.desired.bundle == sent


def test_only_the_model_in_force_and_the_one_before_stay_on_disk(operator: Operator, tmp_path: Path) -> None:
    """The card does not fill up with models."""
    for number in range(4):
        content = packing.pack(copy_bundle(tmp_path / str(number), name=f"model-{number}"), PRIVATE)
        assert operator.send(write(tmp_path / f"{number}.moodwire", content)).status == "ok"

    left = sorted(path.name[:7] for path in (operator.settings.state_dir / "models").iterdir())
    assert left == ["model-2", "model-3"]
    assert operator.overrides().previous_model is not None
    assert "model-2" in str(operator.overrides().previous_model)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (PACKED[:-1], "the signature is not by the key"),
        (packing.pack(OWN, bytes(32)), "the signature is not by the key"),
        (b"nonsense", "this is no packed bundle"),
        (bytes(model_update.MAX_BYTES + 1), "is larger than"),
    ],
)
def test_what_is_not_signed_by_the_pinned_key_is_refused(
    operator: Operator, tmp_path: Path, content: bytes, sentence: str
) -> None:
    """A model that is cut, from another key, no bundle, or too large leaves the old one in force and nothing behind."""
    response = operator.send(write(tmp_path / "wrong", content))

    assert sentence in str(response.error)
    assert operator.commands.desired.bundle == OWN
    assert not list((operator.settings.state_dir).glob("models/*"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"temperature": 9.0}, "scores differ"),
        ({"window_ms": 2_000}, "model.tflite takes (1, 118, 64, 1), but its manifest describes"),
        ({"name": ".."}, "at `$.name`"),
        ({"labels": ["ANG", "HAP", "angry"]}, "label 'angry' is not allowed"),
        ({"labels": ["ANG", "HAP", "HAP"]}, "give each label once"),
        ({"hop_ms": 10}, "at `$.hop_ms`"),
        ({"front_end": {"sample_rate_hz": 8_000}}, "sample_rate_hz is 8000; set 16000"),
        ({"front_end": {"hop_length": 0}}, "at `$.front_end.hop_length`"),
    ],
)
def test_a_signed_model_that_is_wrong_here_is_refused(
    operator: Operator, tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    """What gives other scores here, does not fit its manifest or the wire, never comes into force, also not later."""
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", copy_bundle(tmp_path / "wrong", **changes))

    response = operator.send(write(tmp_path / "packed", packing.seal(Path(archive).read_bytes(), PRIVATE)))

    assert sentence in str(response.error)
    assert operator.commands.desired.bundle == OWN
    assert operator.overrides() == Overrides()
    assert not list((operator.settings.state_dir).glob("models/*"))
    assert operator.ask("set", name="Hall").status == "ok", "the device goes on"
    assert Operator(operator.settings.state_dir).commands.desired.bundle == OWN, "and starts again as before"


def test_without_a_pinned_key_nobody_may_send_models(tmp_path: Path, packed: Path) -> None:
    """A device takes no model unless its own settings say from whom."""
    response = Operator(tmp_path / "state", model_key="").send(packed)

    assert "its setting model_key is empty" in str(response.error)


def test_one_model_at_a_time(operator: Operator, tmp_path: Path) -> None:
    """While one model is fetched another is refused, and the same command again waits for its one answer."""
    with serving(PACKED, hold=True) as site:
        operator.commands.put("model", json.dumps({"transaction": "slow", "source": site.url}).encode())
        operator.commands.carry_out(lambda *answer: operator.answers.append(answer))
        assert "another model command is at work" in str(operator.send("/x").error)
        operator.commands.put("model", json.dumps({"transaction": "slow", "source": site.url}).encode())
        operator.commands.carry_out(lambda *answer: operator.answers.append(answer))
        assert len(operator.answers) == 1
        site.go.set()
        wait_until(lambda: operator._answered(1), "the first is answered")

    assert operator.answers[1][1] == CommandResponse(transaction="slow", status="ok")


def test_a_model_comes_from_a_url(operator: Operator) -> None:
    """A model is fetched over HTTP, also behind a redirect."""
    with serving(PACKED) as site:
        assert operator.send(site.url).status == "ok"
        assert operator.send(f"{site.url}?to={site.url}").status == "ok"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/hostname", "is not allowed"),
        ("data:,x", "is not allowed"),
        ("ftp://127.0.0.1/x", "unknown url type: ftp"),
    ],
)
def test_no_redirect_leads_to_files(operator: Operator, target: str, reason: str) -> None:
    """A server cannot make a device read its own files, or speak another protocol."""
    with serving(PACKED) as site:
        response = operator.send(f"{site.url}?to={target}")

    assert "cannot be fetched" in str(response.error)
    assert reason in str(response.error)


def test_a_server_that_sends_too_much_is_given_up(operator: Operator) -> None:
    """A download ends at the largest size that a bundle may have."""
    with serving(bytes(model_update.MAX_BYTES * 4)) as site:
        response = operator.send(site.url)

    assert "is larger than" in str(response.error)


@pytest.mark.parametrize("name", ["STALL_S", "FETCH_S"])
def test_a_server_that_says_nothing_is_given_up(operator: Operator, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A server that stalls, or that would take for ever, does not keep the device waiting."""
    monkeypatch.setattr(model_update, name, 0.1)
    with serving(bytes(100_000), hold=name == "STALL_S", slowly=True) as site:
        response = operator.send(site.url)

    assert response.status == "error"
    assert "timed out" in str(response.error) or "takes longer than" in str(response.error)


def test_a_missing_page_is_said(operator: Operator) -> None:
    """What the server answers is part of the reason."""
    with serving(None) as site:
        assert "the server answers 404" in str(operator.send(site.url).error)


@pytest.mark.parametrize("harm", ["remove", "damage"])
def test_a_model_that_broke_on_disk_is_left_for_the_one_before(
    operator: Operator, packed: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start a sent model that is gone or damaged is replaced by the one before, with a warning."""
    operator.send(packed)
    sent = operator.commands.desired.bundle
    if harm == "remove":
        shutil.rmtree(sent)
    else:
        (sent / "model.tflite").write_bytes(b"damaged")

    again = Operator(operator.settings.state_dir)

    assert again.commands.desired.bundle == OWN
    assert "the model that was sent to this device cannot be used" in caplog.text
    assert again.send(packed).status == "ok", "and it can be sent anew"
    assert again.commands.desired.bundle == sent
    assert again.overrides().previous_model == ""


class Site:
    """A web server with one page; `?to=…` redirects there."""

    def __init__(self, content: bytes | None, *, hold: bool, slowly: bool) -> None:
        self.go = threading.Event()
        if not hold:
            self.go.set()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "?to=" in self.path:
                    self.send_response(302)
                    self.send_header("Location", self.path.partition("?to=")[2])
                    self.end_headers()
                elif content is None:
                    self.send_error(404)
                else:
                    site.go.wait(30)
                    self.send_response(200)
                    self.end_headers()
                    site.send(self, content, slowly=slowly)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def send(self, handler: BaseHTTPRequestHandler, content: bytes, *, slowly: bool) -> None:
        """Send the page, at once or in drops, until nobody listens any more."""
        step = 1_000 if slowly else len(content)
        pause = threading.Event()
        try:
            for start in range(0, len(content), step):
                handler.wfile.write(content[start : start + step])
                if slowly:
                    pause.wait(0.02)
        except OSError:
            pass


@contextmanager
def serving(content: bytes | None, *, hold: bool = False, slowly: bool = False) -> Iterator[Site]:
    """Run a web server."""
    site = Site(content, hold=hold, slowly=slowly)
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        site.go.set()
        site.server.shutdown()
        site.server.server_close()
        thread.join()
