"""Commands are saved before they are answered and carried out once; a model must pass its tests on this machine."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from bundles import copy_bundle
from hypothesis import given
from hypothesis import strategies as st
from services import wait_until
from sites import serving

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
SIX = models.bundle.find("six")
PACKED = packing.pack(OWN, PRIVATE)


class Operator:
    """A device's commands, and their responses."""

    def __init__(self, state_dir: Path, **changes: Any) -> None:
        key = signing.public_key(PRIVATE)
        self.settings = DeviceSettings(**{"name": "Kitchen", "state_dir": state_dir, "model_key": key} | changes)
        self.responses: list[tuple[str, CommandResponse]] = []
        overrides = Overrides.load(state_dir)
        model = load_first_usable((overrides.model, overrides.previous_model), self.settings.model)
        self.commands = Commands(self.settings, overrides, model.bundle.folder)
        self._next = 0

    def ask(self, name: CommandName, /, *, transaction: str | None = None, **fields: Any) -> CommandResponse:
        """Send a command and return its response."""
        self._next += 1
        asked = transaction or f"t{self._next}"
        self.commands.put(name, json.dumps({"transaction": asked} | fields).encode())
        before = len(self.responses)
        wait_until(lambda: self._answered(before), f"{name} is answered")
        answered, response = self.responses[before]
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
        self.commands.carry_out(lambda *response: self.responses.append(response))
        return len(self.responses) > before


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


def test_a_change_is_saved_and_answered(operator: Operator) -> None:
    """Pause, name and gate are in force, on disk, and there again after a restart; resume ends the pause."""
    assert operator.ask("pause").status == "ok"
    assert operator.ask("set", name="Hall", gate_dbfs=-42.5).status == "ok"

    assert operator.overrides() == Overrides(paused=True, name="Hall", gate_dbfs=-42.5)
    again = Operator(operator.settings.state_dir)
    assert again.commands.desired == operator.commands.desired
    assert again.commands.desired[:3] == (True, "Hall", -42.5)
    assert again.ask("resume").status == "ok"
    assert again.commands.desired[:3] == (False, "Hall", -42.5)


def test_set_pauses_and_resumes_too(operator: Operator) -> None:
    """A sender that has one topic for both, such as a switch, says with `set` whether the device shall be paused."""
    assert operator.ask("set", paused=True).status == "ok"
    assert operator.commands.desired.paused
    assert operator.overrides().paused

    assert operator.ask("set", gate_dbfs=-40).status == "ok"
    assert operator.commands.desired.paused, "what is not given stays"
    assert operator.ask("set", paused=False).status == "ok"
    assert not operator.commands.desired.paused


def test_carrying_out_tells_whether_something_changed(operator: Operator) -> None:
    """`carry_out` returns whether `desired` has changed."""

    def carried_out(name: CommandName, transaction: str) -> bool:
        operator.commands.put(name, json.dumps({"transaction": transaction}).encode())
        return operator.commands.carry_out(lambda *_: None)

    assert carried_out("pause", "1")
    assert not carried_out("pause", "2")
    assert carried_out("resume", "3")
    assert not operator.commands.carry_out(lambda *_: None)


def test_a_command_that_comes_twice_is_carried_out_once(operator: Operator) -> None:
    """A redelivered command gets its response again, and does not undo what came after it."""
    first = operator.ask("pause", transaction="again")
    operator.ask("resume")

    assert operator.ask("pause", transaction="again") == first
    assert not operator.commands.desired.paused


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("set", {}, "give name, gate_dbfs, paused or forget_baseline"),
        ("set", {"name": ""}, "length >= 1"),
        ("set", {"gate_dbfs": 3}, "<= 0"),
        ("set", {"gate_dbfs": "loud"}, "the set command is malformed"),
        ("pause", {"v": 2}, "the pause command is malformed"),
        ("set", {"paused": "yes"}, "the set command is malformed"),
        ("model", {}, "source, bundle or rollback; give one"),
        ("model", {"source": "/x", "rollback": True}, "source, bundle or rollback; give one"),
        ("model", {"source": "/x", "bundle": "six-6"}, "source, bundle or rollback; give one"),
        ("model", {"bundle": "../six"}, "this device has no bundle '../six'; give one of ang-hap-neu-9, six-6"),
        ("model", {"rollback": True}, "no model before this one to roll back to"),
        ("model", {"source": "/no/such/file"}, "there is no file /no/such/file on this device"),
        ("model", {"source": "http://127.0.0.1:1/x"}, "cannot be fetched"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_answered_with_the_reason(
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
        assert operator.commands.execute("pause", payload) is None

    assert "ignored malformed command number 6 (pause)" in caplog.text


@given(st.sampled_from(COMMANDS), st.binary(max_size=200))
def test_no_payload_harms_the_device(name: CommandName, payload: bytes) -> None:
    """Whatever arrives, the device goes on."""
    settings = DeviceSettings(name="Kitchen", state_dir=Path("/dev/null/no-folder"))
    commands = Commands(settings, Overrides(), OWN)

    response = commands.execute(name, payload)

    assert response is None or response.status == "error", "nothing can be saved there"


def test_what_cannot_be_saved_is_not_carried_out(operator: Operator) -> None:
    """When the state folder takes nothing, the device goes on as it was and says so."""
    operator.settings.state_dir.write_text("a file where a folder should be")

    response = operator.ask("pause")

    assert response.status == "error"
    assert "nothing changed, because the state folder cannot be written" in str(response.error)
    assert not operator.commands.desired.paused


def test_a_signed_model_is_installed_and_rolled_back(operator: Operator, packed: Path) -> None:
    """A model from a path is installed, in force and saved; rolling back goes to the one before, and forth again."""
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


def test_a_shipped_model_is_chosen_by_name(operator: Operator) -> None:
    """It is in force, again after a restart, and the one before is a rollback away; no key is needed for it."""
    assert operator.commands.desired.models == ("ang-hap-neu-9", "six-6")
    assert not operator.commands.desired.can_roll_back

    assert operator.ask("model", bundle="six-6").status == "ok"

    assert operator.commands.desired.bundle == SIX
    assert operator.commands.desired.can_roll_back
    assert operator.overrides() == Overrides(model="six", previous_model="")
    again = Operator(operator.settings.state_dir, model_key="")
    assert again.commands.desired == operator.commands.desired
    assert again.ask("model", rollback=True).status == "ok"
    assert again.commands.desired.bundle == OWN
    assert again.overrides() == Overrides(model=None, previous_model="six")
    assert again.ask("model", bundle="six-6").status == "ok"
    assert again.commands.desired.bundle == SIX


def test_the_model_in_force_may_be_chosen_again(operator: Operator) -> None:
    """Nothing changes, and there is nothing to roll back to because of it."""
    assert operator.ask("model", bundle="ang-hap-neu-9").status == "ok"

    assert operator.commands.desired.bundle == OWN
    assert operator.overrides() == Overrides()


def test_sent_models_stay_to_be_chosen_until_another_is_sent(operator: Operator, tmp_path: Path) -> None:
    """Choosing among the models that a device has deletes none of them; each is listed under its own name."""
    for name in ("sent-1", "sent-2"):
        content = packing.pack(copy_bundle(tmp_path / name, name=name), PRIVATE)
        assert operator.send(write(tmp_path / f"{name}.moodwire", content)).status == "ok"
    names = ("ang-hap-neu-9", "sent-1", "sent-2", "six-6")
    assert operator.commands.desired.models == names

    for name in ("six-6", "ang-hap-neu-9", "sent-1"):
        assert operator.ask("model", bundle=name).status == "ok"
        assert operator.commands.desired.models == names

    sent = operator.commands.desired.bundle
    assert sent.name.startswith("sent-1-")
    assert Operator(operator.settings.state_dir).commands.desired == operator.commands.desired
    assert operator.ask("model", rollback=True).status == "ok"
    assert operator.commands.desired.bundle == OWN


def test_of_two_models_of_one_name_the_one_in_force_is_meant(operator: Operator, packed: Path) -> None:
    """A sent bundle may have the name of a shipped one; choosing that name changes nothing then."""
    assert operator.send(packed).status == "ok"
    sent = operator.commands.desired.bundle

    assert operator.ask("model", bundle="ang-hap-neu-9").status == "ok"

    assert operator.commands.desired.bundle == sent
    assert operator.commands.desired.models == ("ang-hap-neu-9", "six-6")


def test_a_model_that_is_damaged_on_disk_is_neither_listed_nor_taken(operator: Operator, tmp_path: Path) -> None:
    """What cannot be read is left out at the next start; what became so meanwhile is refused with the reason."""
    content = packing.pack(copy_bundle(tmp_path / "sent-1", name="sent-1"), PRIVATE)
    assert operator.send(write(tmp_path / "packed", content)).status == "ok"
    sent = operator.commands.desired.bundle
    assert operator.ask("model", bundle="six-6").status == "ok"
    (sent / "model.tflite").write_bytes(b"damaged")

    assert "but its manifest names" in str(operator.ask("model", bundle="sent-1").error)
    assert operator.commands.desired.bundle == SIX
    assert Operator(operator.settings.state_dir).commands.desired.models == ("ang-hap-neu-9", "six-6")


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
def test_a_signed_model_that_cannot_be_used_here_is_refused(
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

    assert "this device takes no models; set its model_key" in str(response.error)


def test_one_model_at_a_time(operator: Operator, tmp_path: Path) -> None:
    """While one model is fetched another is refused, and the same command again waits for its one response."""
    with serving(PACKED, hold=True) as site:
        operator.commands.put("model", json.dumps({"transaction": "slow", "source": site.url}).encode())
        operator.commands.carry_out(lambda *response: operator.responses.append(response))
        assert "another model command is in progress" in str(operator.send("/x").error)
        operator.commands.put("model", json.dumps({"transaction": "slow", "source": site.url}).encode())
        operator.commands.carry_out(lambda *response: operator.responses.append(response))
        assert len(operator.responses) == 1
        site.go.set()
        wait_until(lambda: operator._answered(1), "the first is answered")

    assert operator.responses[1][1] == CommandResponse(transaction="slow", status="ok")


def test_a_failure_that_nobody_thought_of_is_answered(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks while a model is installed, the command gets its response, no thread dies, the next can come."""

    def broken(_: str) -> bytes:
        raise RuntimeError("never seen before")

    with monkeypatch.context() as patch:
        patch.setattr(model_update, "fetch", broken)
        assert operator.send("/x").error == "the device failed to install it; see the device's log"
        wait_until(lambda: "model" not in [thread.name for thread in threading.enumerate()], "the thread has ended")
    assert "there is no file /x" in str(operator.send("/x").error)


@pytest.mark.parametrize("harm", ["remove", "damage"])
def test_a_model_damaged_on_disk_gives_way_to_the_one_before(
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
