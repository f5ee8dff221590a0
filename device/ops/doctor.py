"""`moodwire device doctor`: looks at everything that a device needs, and says what to do about what is wrong."""

import atexit
import sys
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import typed_settings as ts

from common.mqtt import parse_url
from common.report import Finding, Report, report, tell
from device.control.overrides import Overrides
from device.ops import doctor_audio, doctor_machine, doctor_network
from device.settings import DeviceSettings
from device.system import identity

PATIENCE_S = 13.0
"""After that, what has not answered is reported as such: PortAudio and name servers can hang."""


@ts.settings(frozen=True)
class DoctorSettings(DeviceSettings):
    """Settings of `moodwire device doctor`."""

    json: bool = ts.option(default=False, help="print JSON for machines instead of a table")
    listen_s: float = ts.option(default=3.0, help="seconds to listen, 1 to 5")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range; the text names it and what would be right.
        """
        super().__attrs_post_init__()
        if not 1 <= self.listen_s <= 5:
            raise ValueError(f"listen_s is {self.listen_s}; 1 to 5 is right")


class DeviceReport(Report, frozen=True, kw_only=True):
    """The report of a device."""

    device: str | None
    """Its id; None where it could not be found out."""


class _Looking(threading.Thread):
    """Some checks in a thread of their own, which is left behind when it hangs."""

    def __init__(self, names: Sequence[str], look: Callable[[], list[Finding]]) -> None:
        super().__init__(daemon=True, name=f"doctor-{names[0]}")
        self._names = names
        self._look = look
        self._found: list[Finding] | None = None
        self.start()

    def run(self) -> None:
        """Look."""
        self._found = self._look()

    def findings(self, deadline_s: float) -> list[Finding]:
        """Return what was found, or by the deadline that nothing was."""
        self.join(max(0.0, deadline_s - time.monotonic()))
        if self._found is not None:
            return self._found
        todo = (
            "unplug it and plug it in again" if self._names == doctor_audio.NAMES else "look at network and name server"
        )
        hung = Finding(self._names[0], "fail", f"no answer within {PATIENCE_S:g} s", todo)
        return [hung, *(Finding(name, "skip", f"{self._names[0]} hangs") for name in self._names[1:])]


def doctor(settings: DoctorSettings) -> int:
    """Print what is right and wrong; return 1 if something must be mended, 2 if the settings are not usable."""
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        parse_url(settings.mqtt_url)
        in_force = _in_force(settings)
        device = _device(in_force)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    sound = _Looking(doctor_audio.NAMES, lambda: doctor_audio.check(in_force, settings.listen_s))
    network = _Looking(doctor_network.NAMES, lambda: _network(in_force, device))
    machine = [
        doctor_machine.model(in_force),
        *network.findings(deadline_s),
        doctor_machine.wall_clock(in_force),
        doctor_machine.disk(in_force),
        doctor_machine.outbox(in_force),
        doctor_machine.permissions(in_force),
    ]
    findings = (*sound.findings(deadline_s), *machine)
    code = tell(DeviceReport(*msgspec.structs.astuple(report(findings)), device=device), as_json=settings.json)
    if sound.is_alive() and "sounddevice" in sys.modules:  # it hangs in PortAudio, and so would the clean-up at exit
        atexit.unregister(sys.modules["sounddevice"]._exit_handler)  # noqa: SLF001 - there is no public way
    return code


def _in_force(settings: DeviceSettings) -> DeviceSettings:
    """Return the settings that a start now would run with.

    Raises:
        ValueError: what is kept cannot be read.
    """
    try:
        return Overrides.load(settings.state_dir).apply(settings)
    except OSError:  # what is wrong with the folder, the check of the disk tells
        return settings


def _device(settings: DeviceSettings) -> str | None:
    """Return the device's id; None if it is random and not yet made, which the device does at its first start.

    Raises:
        ValueError: `identity` is not usable.
    """
    try:
        if settings.identity == "random" and not settings.state_dir.joinpath("device-id").is_file():
            return None
        return identity.device_id(settings.identity, settings.state_dir)
    except OSError:
        return None


def _network(settings: DeviceSettings, device: str | None) -> list[Finding]:
    if device is None:
        return [
            Finding(name, "skip", "not asked, as the device has no id before its first start")
            for name in doctor_network.NAMES
        ]
    return doctor_network.check(settings, device)
