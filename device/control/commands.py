"""What operators ask of this device: decided between two windows, kept before it is answered, done once."""

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

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
from models.runtime import load_verified

log = logging.getLogger(__name__)

_REMEMBERED = 100
"""Transactions whose answers are kept, so that a command that comes twice is answered twice and done once."""
_KINDS: dict[CommandName, type[Command]] = {
    "pause": Command,
    "resume": Command,
    "set": SetCommand,
    "model": ModelCommand,
}


class Desired(NamedTuple):
    """What the device shall be doing."""

    paused: bool
    name: str
    gate_dbfs: float
    bundle: Path
    """Folder of a bundle that has passed its golden test on this machine."""


class _Asked(NamedTuple):
    name: CommandName
    payload: bytes


class _Prepared(NamedTuple):
    """The end of the work for a `model` command."""

    transaction: str
    bundle: Path | None
    """None: it failed."""
    error: str = ""


class Commands:
    """Takes commands from the network thread and carries them out in the run loop.

    Example:
        overrides = Overrides.load(settings.state_dir)
        model = load_first_usable((overrides.model, overrides.previous_model), settings.model)
        commands = Commands(settings, overrides, model.bundle.folder)
        session = Session(settings, device, status, outbox, on_command=commands.put)
        ...
        for window in windows:
            if commands.carry_out(session.answer):  # quick when there is nothing to do
                adopt(commands.desired)  # then session.set_status(...)
        while commands.desired.paused:
            commands.wait(5)
            commands.carry_out(session.answer)
    """

    def __init__(self, settings: DeviceSettings, overrides: Overrides, bundle: Path) -> None:
        self._settings = settings
        self._overrides = overrides
        self._sent = settings.state_dir.absolute() / "models"
        self._queue: queue.SimpleQueue[_Asked | _Prepared] = queue.SimpleQueue()
        self._arrived = threading.Event()
        self._answers: OrderedDict[tuple[CommandName, str], CommandResponse] = OrderedDict()
        self._preparing: str | None = None
        self._ignored = 0
        self.desired = self._combine(bundle)
        """What the device shall be doing now; replaced by `carry_out` only."""

    def put(self, name: CommandName, payload: bytes) -> None:
        """Take a command for later; safe in the network thread."""
        self._queue.put(_Asked(name, payload))
        self._arrived.set()

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to carry out."""
        self._arrived.wait(timeout_s)

    def carry_out(self, answer: Callable[[CommandName, CommandResponse], None]) -> bool:
        """Do what was asked since the last call, answer it, and return whether `desired` has changed."""
        self._arrived.clear()
        before = self.desired
        while True:
            try:
                task = self._queue.get_nowait()
            except queue.Empty:
                return self.desired != before
            if isinstance(task, _Asked):
                response = self.take(task.name, task.payload)
                name = task.name
            else:
                name, response = "model", self._switch(task)
            if response is not None:
                answer(name, response)

    def take(self, name: CommandName, payload: bytes) -> CommandResponse | None:
        """Carry out one command and return its answer; None: it comes later, or there is nobody to answer."""
        try:
            command = decode(payload, _KINDS[name])
        except WireError as error:
            return self._malformed(name, payload, error)
        known = self._answers.get((name, command.transaction))
        if known is not None:
            return known
        if name == "model" and command.transaction == self._preparing:
            return None
        try:
            if isinstance(command, ModelCommand):
                self._prepare(command)
                return None
            self._change(name, command)
        except ValueError as error:
            return self._remember(name, command.transaction, str(error))
        log.info("carried out %s", name)
        return self._remember(name, command.transaction)

    def _malformed(self, name: CommandName, payload: bytes, error: WireError) -> CommandResponse | None:
        asked = transaction(payload)
        if asked is not None:
            return CommandResponse(transaction=asked, status="error", error=f"this is no {name} command: {error}")
        self._ignored += 1
        log.warning("ignored command number %d that is malformed (%s): %s", self._ignored, name, error)
        return None

    def _remember(self, name: CommandName, asked: str, error: str | None = None) -> CommandResponse:
        response = CommandResponse(transaction=asked, status="error" if error else "ok", error=error)
        self._answers[name, asked] = response
        while len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return response

    def _change(self, name: CommandName, command: Command) -> None:
        """Pause, resume, or change settings.

        Raises:
            ValueError: it cannot be done; the text says why.
        """
        if isinstance(command, SetCommand):
            changes = {"name": command.name, "gate_dbfs": command.gate_dbfs}
            given = {field: value for field, value in changes.items() if value is not None}
            if not given:
                raise ValueError("nothing to set is given; name and gate_dbfs can be set")
            self._override(replace(self._overrides, **given), self.desired.bundle)
        else:
            self._override(replace(self._overrides, paused=name == "pause"), self.desired.bundle)

    def _override(self, overrides: Overrides, bundle: Path) -> None:
        """Write down what changed, and only then let it be in force.

        Raises:
            ValueError: it cannot be written.
        """
        if overrides != self._overrides:
            try:
                overrides.save(self._settings.state_dir)
            except OSError as error:
                raise ValueError(f"nothing changed, because it cannot be kept: {error}") from error
        self._overrides = overrides
        self.desired = self._combine(bundle)

    def _combine(self, bundle: Path) -> Desired:
        settings = self._overrides.apply(self._settings)
        return Desired(self._overrides.paused, settings.name, settings.gate_dbfs, bundle)

    def _prepare(self, command: ModelCommand) -> None:
        """Fetch, check and install a bundle in a thread of its own, which puts the result into the queue.

        Raises:
            ValueError: it cannot even be begun.
        """
        if self._preparing is not None:
            raise ValueError("another model command is at work; ask again when it has been answered")
        if bool(command.source) == command.rollback:
            raise ValueError("exactly one of source and rollback is to be given")
        if command.rollback and self._overrides.previous_model is None:
            raise ValueError("there is no model before this one to go back to")
        if command.source and not self._settings.model_key:
            raise ValueError("this device takes no models: its setting model_key is empty")
        self._preparing = command.transaction
        threading.Thread(target=self._work, args=(command,), name="model", daemon=True).start()

    def _work(self, command: ModelCommand) -> None:
        try:
            if command.source:
                folder = model_update.install(model_update.fetch(command.source), self._settings.model_key, self._sent)
            else:
                folder = models.bundle.find(self._overrides.previous_model or self._settings.model)
                load_verified(folder)
            done = _Prepared(command.transaction, folder)
        except (BundleError, ImportError, OSError) as error:
            done = _Prepared(command.transaction, None, str(error))
        self._queue.put(done)
        self._arrived.set()

    def _switch(self, done: _Prepared) -> CommandResponse:
        """Put a prepared bundle in force."""
        self._preparing = None
        if done.bundle is None:
            log.warning("the model stays %s: %s", self.desired.bundle.name, done.error)
            return self._remember("model", done.transaction, done.error)
        if done.bundle != self.desired.bundle:
            overrides = replace(
                self._overrides, model=self._name(done.bundle), previous_model=self._name(self.desired.bundle) or ""
            )
            try:
                self._override(overrides, done.bundle)
            except ValueError as error:
                return self._remember("model", done.transaction, str(error))
            log.info("the model is %s now", done.bundle.name)
        model_update.tidy(self._sent, {self._overrides.model, self._overrides.previous_model})
        return self._remember("model", done.transaction)

    def _name(self, bundle: Path) -> str | None:
        """Return how `Overrides` names a bundle: its folder if it was sent here, None for the settings' own."""
        return str(bundle) if bundle.parent == self._sent else None
