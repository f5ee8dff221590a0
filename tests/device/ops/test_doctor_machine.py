"""The doctor's checks of model, clock, disk, outbox and permissions, with each fault provoked."""

import os
import tempfile
from pathlib import Path

import pytest
from bundles import copy_bundle
from diagnoses import examine
from outboxes import BOOT, open_outbox, put

from device.ops import doctor_machine
from device.settings import DeviceSettings
from device.system import clock, network_adapters
from device.system.identity import device_id

pytestmark = pytest.mark.usefixtures("a_device")


@pytest.mark.parametrize(
    ("here", "sentence"),
    [
        (["eth0"], "this is device b8:27:eb:00:00:01: the address of eth0"),
        ([], "the address of eth0, which is not here now; the id is kept"),
    ],
    ids=["there", "unplugged"],
)
def test_the_interface_that_the_id_is_from_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: list[str], sentence: str
) -> None:
    """Also when it has gone since; a random id and one that was given say so."""
    adapter = network_adapters.Adapter("eth0", "b827eb000001", is_wireless=False, bus_path="")
    monkeypatch.setattr(network_adapters, "physical", lambda _root: [adapter])
    device_id("hardware", tmp_path)
    monkeypatch.setattr(network_adapters, "addresses", lambda: dict(zip(["b827eb000001"], here, strict=False)))

    device, found = doctor_machine.identity(DeviceSettings(state_dir=tmp_path))

    assert device == "b827eb000001"
    assert sentence in found.seen


def test_an_id_of_no_interface_says_where_it_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given, random, yet to be made, and kept where this user may not read."""
    monkeypatch.setattr(network_adapters, "physical", lambda _root: [])
    settings = DeviceSettings(state_dir=tmp_path)
    before = doctor_machine.identity(settings)
    made = device_id("hardware", tmp_path)
    after = doctor_machine.identity(settings)
    given = doctor_machine.identity(DeviceSettings(state_dir=tmp_path, identity="aa:bb:cc:dd:ee:ff"))
    (tmp_path / "hardware-id").unlink()
    (tmp_path / "hardware-id").mkdir()
    unreadable = doctor_machine.identity(settings)

    assert [device for device, _ in (before, after, given, unreadable)] == [None, made, "aabbccddeeff", None]
    assert [finding.result for _, finding in (before, after, given, unreadable)] == ["skip", "ok", "ok", "fail"]
    assert "made at random, and kept" in after[1].seen
    assert "aa:bb:cc:dd:ee:ff: as `identity` sets it" in given[1].seen


def test_a_broken_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed byte in the model is reported."""
    folder = copy_bundle(tmp_path / "bundle")
    model = bytearray((folder / "model.tflite").read_bytes())
    model[5_000] ^= 1
    (folder / "model.tflite").write_bytes(model)

    found = examine(capsys, "--model", str(folder))

    assert found.results["model"] == "fail"
    assert "sha256" in found.told["model"]


def test_a_state_folder_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in its place is a failure; a folder that does not exist yet is a warning, and is not made."""
    (tmp_path / "file").touch()
    broken = examine(capsys, "--state-dir", str(tmp_path / "file"))
    missing = examine(capsys, "--state-dir", str(tmp_path / "later"), "--identity", "random")

    assert (broken.results["disk"], missing.results["disk"]) == ("fail", "warn")
    assert missing.results["outbox"] == missing.results["broker"] == "skip"
    assert not (tmp_path / "later").exists()


def test_waiting_and_refused_records_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting records are counted with their age; refused ones are listed by reason; a broken file is a failure."""
    outbox = open_outbox(tmp_path / "state", max_age_s=86_400)
    for seq in range(3):
        put(outbox, seq, clock.now_ms() - 7_300_000)
    outbox.refuse(BOOT, 0, 0, "from more than five minutes ahead")
    outbox.close()
    refused = examine(capsys)
    (tmp_path / "state" / "outbox.sqlite").write_bytes(bytes(8_192))
    broken = examine(capsys)

    assert (refused.results["outbox"], broken.results["outbox"]) == ("warn", "fail")
    assert "2 records wait, the oldest for 2 h" in refused.told["outbox"]
    assert "refused 1: from more than five minutes ahead (1)" in refused.told["outbox"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user for a moment")
def test_a_state_folder_of_another_user_is_named() -> None:
    """A user who may not read the folder of the service is told to become its user."""
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's, into which nobody else may look at all
        settings = DeviceSettings(state_dir=Path(folder))
        os.seteuid(65_534)
        try:
            found = [
                check(settings) for check in (doctor_machine.outbox, doctor_machine.disk, doctor_machine.permissions)
            ]
        finally:
            os.seteuid(0)

    assert [finding.result for finding in found] == ["fail", "fail", "warn"]
    assert "may not be read by this user" in found[0].seen
    assert "belongs to user 0" in found[2].seen


def test_little_space_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """An outbox that may grow beyond the disk is a warning."""
    found = examine(capsys, "--outbox-max-mb", "1000000")

    assert found.results["disk"] == "warn"
    assert "outbox_max_mb" in found.told["disk"]


def test_the_clock_is_judged_by_the_kernel(capsys: pytest.CaptureFixture[str]) -> None:
    """A clock that is not synchronised is a warning, with how long records wait for it."""
    found = examine(capsys, "--clock-wait-s", "300")

    assert found.results["clock"] == ("ok" if clock.synced() else "warn")
    assert ("300 s" in found.told["clock"]) != clock.synced()


def test_a_secret_that_everybody_may_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that protects it is printed; running as root is reported too."""
    (tmp_path / "password").write_text("secret")
    (tmp_path / "password").chmod(0o644)
    monkeypatch.delenv("MOODWIRE_MQTT_PASSWORD")
    monkeypatch.setenv("MOODWIRE_MQTT_PASSWORD_FILE", str(tmp_path / "password"))

    found = examine(capsys)

    assert found.results["permissions"] == "warn"
    assert f"chmod o-r {tmp_path / 'password'}" in found.told["permissions"]
    assert ("root" in found.told["permissions"]) == (os.geteuid() == 0)
