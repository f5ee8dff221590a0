"""What operators ask of devices over REST: commands are checked, queued for ingest, and asked after."""

import logging
from http import HTTPStatus

from flask import Response, g, request, url_for

from broker import messages, topics
from broker.messages import Command, ModelCommand, SetCommand, WireError
from broker.topics import CommandName
from server.errors import ProblemError
from server.query.devices import DeviceLookup
from server.query.time_range import rfc3339
from server.rest import params, responses
from server.store import command_queue
from server.store.command_queue import CommandState
from server.store.types import Device

audit = logging.getLogger("moodwire.audit")

_KINDS: dict[CommandName, type[Command]] = {
    "pause": Command,
    "resume": Command,
    "set": SetCommand,
    "model": ModelCommand,
}
_NEEDS = {
    "pause": "nothing else",
    "resume": "nothing else",
    "set": "`name`, `gate_dbfs` or both",
    "model": "either `source` or `rollback: true`",
}
_RETRY_S = 60


class Operating:
    """The work of the routes about commands."""

    def __init__(self, lookup: DeviceLookup) -> None:
        self._lookup = lookup
        self._commands = lookup.store.commands

    def ask(self, path: params.DevicePath, body: params.CommandBody) -> Response:
        """Command: pause or resume a device, change its settings or its model; answered before it happens."""
        device = self._lookup.find(path.mac)
        command = _command(body)
        if self._commands.waiting(device.id) >= command_queue.MAX_WAITING:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{command_queue.MAX_WAITING} commands wait for {topics.mac_address(device.id)} already: once it has "
                f"answered one, or {command_queue.LIFETIME_MS // 60_000} min after it was asked, another is taken",
                retry_s=_RETRY_S,
            )
        found = self._commands.add(device.id, body.command, command)
        audit.info(
            "asked %s to %s, transaction %s, by token %s from %s",
            topics.mac_address(device.id),
            body.command,
            found.transaction,
            g.token.name,
            request.remote_addr,
        )
        response = _answer(_shape(device, found, found.asked_at))
        response.status_code = HTTPStatus.ACCEPTED
        response.headers["Location"] = url_for("api.tell", mac=device.id, transaction=found.transaction)
        return response

    def tell(self, path: params.CommandPath) -> Response:
        """Command: what became of one."""
        device = self._lookup.find(path.mac)
        found = self._commands.find(device.id, path.transaction)
        if found is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"{topics.mac_address(device.id)} has no command {path.transaction!r}: those of the last hour are "
                "known, by the transaction that the answer to POST has",
            )
        return _answer(_shape(device, found, self._lookup.store.now()))


def _command(body: params.CommandBody) -> Command:
    """Return a command with a new transaction.

    Raises:
        ProblemError: 400, the contract does not allow it.
    """
    kind = _KINDS[body.command]
    given = body.model_dump(exclude={"command"}, exclude_defaults=True)
    foreign = sorted(given.keys() - set(kind.__struct_fields__))
    fits = not foreign and {"set": bool(given), "model": len(given) == 1}.get(body.command, not given)
    if not fits:
        words = ", ".join(sorted(given)) or "nothing else"
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{body.command} came with {words}: {_NEEDS[body.command]} is right")
    command = kind(transaction=command_queue.new_transaction(), **given)
    try:
        return messages.decode(messages.encode(command), kind)
    except WireError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"the command is not right: {error}") from error


def _shape(device: Device, found: CommandState, now: int) -> responses.Command:
    """Return a command as REST shows it.

    Args:
        device: Whom it was given to.
        found: What the store knows of it.
        now: Unix ms.
    """
    error = None
    status: responses.CommandStatus = "pending"
    if found.response is not None:
        status, error = found.response.status, found.response.error
    elif now >= found.until:
        status = "expired"
        minutes = command_queue.LIFETIME_MS // 60_000
        error = f"the device {'has not answered' if found.sent else 'was not online'} within {minutes} min"
    return responses.Command(
        transaction=found.transaction,
        mac_address=topics.mac_address(device.id),
        command=found.name,
        status=status,
        error=error,
        asked_at=rfc3339(found.asked_at),
        expires_at=rfc3339(found.until),
        sent=found.sent,
    )


def _answer(body: responses.Command) -> Response:
    return Response(body.model_dump_json(), mimetype="application/json")
