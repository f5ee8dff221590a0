"""Operators' commands from the wire to their effect: each carried out once, and written down before it is answered.

`put` queues a command in the network thread. `carry_out` decodes it, saves what it overrides in the state folder, puts
that in force as `desired`, and answers. A `model` command takes longer: a thread of its own installs the bundle and
queues the result, which `carry_out` puts in force and answers in the same way.
"""

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

import models.bundle
from broker.messages import (
    Command,
    CommandResponse,
    ModelCommand,
    SetCommand,
    WireError,
    decode,
    transaction,
)
from broker.topics import CommandName
from device.control import model_update
from device.control.overrides import Overrides
from device.settings import DeviceSettings
from models.bundle import BundleError

log = logging.getLogger(__name__)

_REMEMBERED = 100
"""Newest responses that are remembered: a command that is delivered twice is answered twice and carried out once."""
_MESSAGES: dict[CommandName, type[Command]] = {
    "pause": Command,
    "resume": Command,
    "set": SetCommand,
    "model": ModelCommand,
}


class Desired(NamedTuple):
    """What the device shall be doing."""

    paused: bool
    name: str
    gate_dbfs: float | None
    """None: it follows the noise floor."""
    bundle: Path
    """Folder of a bundle that has passed its golden test on this machine."""
    models: tuple[str, ...]
    """Names of the bundles that the device has."""
    can_roll_back: bool
    baselines_forgotten: int
    """How often someone asked to forget the baseline."""


class _Received(NamedTuple):
    """A command as it came from the wire."""

    name: CommandName
    payload: bytes


class _Installed(NamedTuple):
    """How the installation that a `model` command asked for has ended."""

    transaction: str
    bundle: Path | None
    """None: it failed."""
    error: str
    sent: bool
    """It was sent now, so the sent ones that are no longer needed can go."""


class Commands:
    """Carries out commands one by one, and knows what the device shall be doing because of them.

    Args:
        settings: As they are without overrides.
        overrides: As they are in the state folder.
        bundle: Folder of the bundle that the device starts with.
    """

    def __init__(self, settings: DeviceSettings, overrides: Overrides, bundle: Path) -> None:
        self._settings = settings
        self._overrides = overrides
        self._models_dir = settings.state_dir.absolute() / "models"
        self._queue: queue.SimpleQueue[_Received | _Installed] = queue.SimpleQueue()
        self._arrived = threading.Event()
        self._responses: OrderedDict[tuple[CommandName, str], CommandResponse] = OrderedDict()
        self._installing: str | None = None
        """Transaction of the `model` command whose bundle is being installed."""
        self._malformed = 0
        self._bundles = self._find_bundles(bundle)
        self.desired = self._combine(bundle)
        """What the device shall be doing now; only `carry_out` replaces it."""

    def put(self, name: CommandName, payload: bytes) -> None:
        """Queue a command; safe in the network thread."""
        self._queue.put(_Received(name, payload))
        self._arrived.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to carry out."""
        self._arrived.wait(timeout_s)

    def carry_out(self, respond: Callable[[CommandName, CommandResponse], None]) -> bool:
        """Carry out and answer what has arrived since the last call; return whether `desired` has changed."""
        self._arrived.clear()
        before = self.desired
        while True:
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return self.desired != before
            if isinstance(task, _Received):
                name, response = task.name, self.execute(task.name, task.payload)
            else:
                name, response = "model", self._finish_model(task)
            if response is not None:
                respond(name, response)

    def execute(self, name: CommandName, payload: bytes) -> CommandResponse | None:
        """Carry out one command and return the response; None if it follows later, or if nobody could receive it."""
        try:
            command = decode(payload, _MESSAGES[name])
        except WireError as error:
            return self._reject(name, payload, error)
        known = self._responses.get((name, command.transaction))
        if known is not None:
            return known
        if name == "model" and command.transaction == self._installing:
            return None
        try:
            if isinstance(command, ModelCommand):
                self._start_model(command)
                return None
            self._override(self._changed_by(name, command), self.desired.bundle)
        except ValueError as error:
            return self._respond(name, command.transaction, str(error))
        log.info("carried out %s", name)
        return self._respond(name, command.transaction)

    def _reject(self, name: CommandName, payload: bytes, error: WireError) -> CommandResponse | None:
        """Answer a malformed command, or count it if it names no transaction to answer."""
        asked = transaction(payload)
        if asked is not None:
            return CommandResponse(transaction=asked, status="error", error=f"the {name} command is malformed: {error}")
        self._malformed += 1
        log.warning("ignored malformed command number %d (%s): %s", self._malformed, name, error)
        return None

    def _respond(self, name: CommandName, transaction: str, error: str | None = None) -> CommandResponse:
        """Return the response to a command, and remember it."""
        response = CommandResponse(transaction=transaction, status="error" if error else "ok", error=error)
        self._responses[name, transaction] = response
        while len(self._responses) > _REMEMBERED:
            self._responses.popitem(last=False)
        return response

    def _changed_by(self, name: CommandName, command: Command) -> Overrides:
        """Return the overrides as `pause`, `resume` or `set` asks.

        Raises:
            ValueError: a `set` command sets nothing.
        """
        if not isinstance(command, SetCommand):
            return replace(self._overrides, paused=name == "pause")
        changes = {"name": command.name, "gate_dbfs": command.gate_dbfs, "paused": command.paused}
        if command.forget_baseline:
            changes["baselines_forgotten"] = self._overrides.baselines_forgotten + 1
        given: dict[str, Any] = {field: value for field, value in changes.items() if value is not None}
        if command.gate_dbfs == "auto":  # as the settings say
            given["gate_dbfs"] = None
        if not given:
            raise ValueError("the set command sets nothing; give name, gate_dbfs, paused or forget_baseline")
        return replace(self._overrides, **given)

    def _override(self, overrides: Overrides, bundle: Path) -> None:
        """Save overrides, and only then put them and their bundle in force.

        Raises:
            ValueError: they cannot be saved.
        """
        if overrides != self._overrides:
            try:
                overrides.save(self._settings.state_dir)
            except OSError as error:
                raise ValueError(f"nothing changed, because the state folder cannot be written: {error}") from error
        self._overrides = overrides
        self.desired = self._combine(bundle)

    def _combine(self, bundle: Path) -> Desired:
        settings = self._overrides.apply(self._settings)
        return Desired(
            self._overrides.paused,
            settings.name,
            settings.gate_dbfs,
            bundle,
            tuple(sorted(self._bundles)),
            self._overrides.previous_model is not None,
            self._overrides.baselines_forgotten,
        )

    def _start_model(self, command: ModelCommand) -> None:
        """Start to install a bundle, or to check the one before, in a thread of its own.

        Raises:
            ValueError: the command cannot be carried out, whatever its bundle is like.
        """
        if self._installing is not None:
            raise ValueError("another model command is in progress; send this one again when that has been answered")
        if [bool(command.source), bool(command.bundle), command.rollback].count(True) != 1:
            raise ValueError("the model command takes source, bundle or rollback; give one of them")
        if command.rollback and self._overrides.previous_model is None:
            raise ValueError("there is no model before this one to roll back to; send one as source")
        if command.source and not self._settings.model_key:
            raise ValueError("this device takes no models; set its model_key to the key that bundle keygen prints")
        if command.bundle and command.bundle not in self._bundles:
            has = ", ".join(self.desired.models)
            raise ValueError(f"this device has no bundle {command.bundle!r}; give one of {has}, or send one as source")
        if command.source:
            key, runtime = self._settings.model_key, self._settings.runtime
            install = partial(model_update.install, command.source, key, self._models_dir, runtime)
        elif command.bundle:
            install = partial(model_update.check, str(self._bundles[command.bundle]), self._settings.runtime)
        else:
            before = self._overrides.previous_model or self._settings.model
            install = partial(model_update.check, before, self._settings.runtime)
        self._installing = command.transaction
        run = partial(self._install, install, command.transaction, sent=bool(command.source))
        threading.Thread(target=run, name="model", daemon=True).start()

    def _install(self, install: Callable[[], Path], transaction: str, *, sent: bool) -> None:
        """Queue how the installation ended, also if it failed in a way that nobody thought of."""
        bundle, error = None, "the device failed to install it; see the device's log"
        try:
            bundle = install()
        except (BundleError, ImportError, OSError) as failure:
            error = str(failure)
        except Exception:
            log.exception("the model cannot be installed")
        finally:
            self._queue.put(_Installed(transaction, bundle, error, sent))
            self._arrived.set()

    def _finish_model(self, installed: _Installed) -> CommandResponse:
        """Put an installed bundle in force; of those that were sent before keep the one in force until now, if any."""
        self._installing = None
        if installed.bundle is None:
            log.warning("the model stays %s: %s", self.desired.bundle.name, installed.error)
            return self._respond("model", installed.transaction, installed.error)
        if installed.bundle != self.desired.bundle:
            model, previous = self._override_of(installed.bundle), self._override_of(self.desired.bundle)
            try:
                self._override(replace(self._overrides, model=model, previous_model=previous or ""), installed.bundle)
            except ValueError as error:
                return self._respond("model", installed.transaction, str(error))
            log.info("the model is %s now", installed.bundle.name)
        if installed.sent:
            model_update.keep_only(self._models_dir, {self._overrides.model, self._overrides.previous_model})
        self._bundles = self._find_bundles(installed.bundle)
        self.desired = self._combine(installed.bundle)
        return self._respond("model", installed.transaction)

    def _override_of(self, bundle: Path) -> str | None:
        """Return how overrides name a bundle: folder of a sent one, name of a shipped one, None for the settings' own.

        A shipped one goes by its name, because an update of moodwire may move its folder.
        """
        if bundle.parent == self._models_dir:
            return str(bundle)
        own = bundle in (Path(self._settings.model), models.bundle.SHIPPED / self._settings.model)
        return None if own or bundle.parent != models.bundle.SHIPPED else bundle.name

    def _find_bundles(self, current: Path) -> dict[str, Path]:
        """Return the folders of all bundles of this device by the names in their manifests.

        Two sent ones may have the same name; the one in force has it then, or else the one before it.
        """
        sent = sorted(map(str, self._models_dir.glob("[!.]*")))
        shipped = sorted(map(str, models.bundle.SHIPPED.iterdir()))
        before = self._overrides.previous_model or self._settings.model
        return model_update.by_name([str(current), before, *sent, self._settings.model, *shipped])
