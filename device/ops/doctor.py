"""`moodwire device doctor`: checks everything that a device needs, and says what to do about each fault."""

import atexit
import sys
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import typed_settings as ts

from common.mqtt import parse_url
from common.report import Finding, Report, print_report, report
from device.control.overrides import Overrides
from device.ops import doctor_audio, doctor_machine, doctor_network
from device.settings import DeviceSettings

PATIENCE_S = 13.0
"""How long all checks may take; those that have not ended then are said to hang, as PortAudio and name servers can."""


@ts.settings(frozen=True)
class DoctorSettings(DeviceSettings):
    """Settings of `moodwire device doctor`."""

    json: bool = ts.option(default=False, help="print JSON for machines instead of a table")
    listen_s: float = ts.option(default=3.0, help="seconds to listen, 1 to 5")

    def __attrs_post_init__(self) -> None:
        """Check what types alone cannot.

        Raises:
            ValueError: a value is out of its range; the message names the range.
        """
        super().__attrs_post_init__()
        if not 1 <= self.listen_s <= 5:
            raise ValueError(f"listen_s is {self.listen_s}; use 1 to 5")


class DeviceReport(Report, frozen=True, kw_only=True):
    """The report of a device."""

    device: str | None
    """Its id; None if it has none yet, or if it cannot be read."""


class _Checks(threading.Thread):
    """Some checks in a thread of their own, which is left behind if it hangs.

    Args:
        names: Of the findings, in their order.
        check: Runs the checks.
        todo: What to do if they hang.
    """

    def __init__(self, names: Sequence[str], check: Callable[[], list[Finding]], todo: str) -> None:
        super().__init__(daemon=True, name=f"doctor-{names[0]}")
        self._names = names
        self._check = check
        self._todo = todo
        self._findings: list[Finding] | None = None
        self.start()

    def run(self) -> None:
        """Run the checks."""
        self._findings = self._check()

    def findings(self, deadline_s: float) -> list[Finding]:
        """Return the findings; by the deadline, that the checks hang."""
        self.join(max(0.0, deadline_s - time.monotonic()))
        if self._findings is not None:
            return self._findings
        hung = Finding(self._names[0], "fail", f"no answer within {PATIENCE_S:g} s", self._todo)
        return [hung, *(Finding(name, "skip", f"{self._names[0]} hangs") for name in self._names[1:])]


def doctor(settings: DoctorSettings) -> int:
    """Print the findings; return 1 if a check fails, 2 if the settings are not usable."""
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        parse_url(settings.mqtt_url)
        effective = _effective(settings)
        device, named = doctor_machine.identity(effective)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    sound = _Checks(
        doctor_audio.NAMES,
        lambda: doctor_audio.check(effective, settings.listen_s),
        "unplug it and plug it in again",
    )
    is_running = doctor_machine.is_running(effective)
    network = _Checks(
        doctor_network.NAMES,
        lambda: _network(effective, device, is_running=is_running),
        "check network and name server",
    )
    machine = [
        named,
        doctor_machine.model(effective),
        doctor_machine.baseline(effective),
        *network.findings(deadline_s),
        doctor_machine.wall_clock(effective),
        doctor_machine.disk(effective),
        doctor_machine.outbox(effective),
        doctor_machine.permissions(effective),
    ]
    findings = (*sound.findings(deadline_s), *machine)
    code = print_report(DeviceReport(**msgspec.structs.asdict(report(findings)), device=device), as_json=settings.json)
    if sound.is_alive() and "sounddevice" in sys.modules:  # it hangs in PortAudio, as the clean-up at exit would
        atexit.unregister(sys.modules["sounddevice"]._exit_handler)  # noqa: SLF001 - there is no public way
    return code


def _effective(settings: DeviceSettings) -> DeviceSettings:
    """Return the settings with the overrides that a device which starts now would have.

    Raises:
        ValueError: the overrides cannot be read.
    """
    try:
        return Overrides.load(settings.state_dir).apply(settings)
    except OSError:  # the check of the disk says what is wrong with the folder
        return settings


def _network(settings: DeviceSettings, device: str | None, *, is_running: bool) -> list[Finding]:
    if device is None:
        return [
            Finding(name, "skip", "not checked, because the device has no id before its first start")
            for name in doctor_network.NAMES
        ]
    return doctor_network.check_beside(settings, device) if is_running else doctor_network.check(settings, device)
