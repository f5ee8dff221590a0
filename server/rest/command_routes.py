"""The routes about commands: one is checked and queued for ingest, and later tells how it ended."""

import logging
from http import HTTPStatus

from flask import Response, g, request, url_for

from broker import messages, topics
from broker.messages import Command, ModelCommand, SetCommand
from broker.topics import CommandName
from common import text
from server.errors import ProblemError
from server.query.time_range import rfc3339
from server.rest import openapi, params, responses
from server.rest.blueprint import lookup, make_blueprint, services
from server.rest.responses import respond
from server.store import command_queue
from server.store.command_queue import CommandState
from server.store.types import Device

blueprint = make_blueprint("commands")

audit = logging.getLogger("moodwire.audit")

_KINDS: dict[CommandName, type[Command]] = {
    "pause": Command,
    "resume": Command,
    "set": SetCommand,
    "model": ModelCommand,
}
_TAKES = {
    "pause": "no other field",
    "resume": "no other field",
    "set": "any of `name`, `gate_dbfs` and `forget_baseline: true`",
    "model": "either `source` or `rollback: true`",
}
_RETRY_S = 60


@blueprint.post(
    "/devices/<mac>/commands",
    tags=openapi.COMMANDS,
    responses={202: responses.Command},
    openapi_extensions=openapi.OPERATOR,
)
def send_command(path: params.DevicePath, body: params.CommandBody) -> Response:
    """Command: pause or resume a device, change its settings or its model; answered before the device acts."""
    device = lookup().find(path.mac)
    command = _command(body)
    queue = services().store.commands
    if queue.waiting(device.id) >= command_queue.MAX_WAITING:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{topics.mac_address(device.id)} has {command_queue.MAX_WAITING} unanswered commands: try again once it "
            f"has answered one; each expires after {command_queue.LIFETIME_MS // 60_000} min",
            retry_s=_RETRY_S,
        )
    state = queue.add(device.id, body.command, command)
    audit.info(
        "asked %s to %s, transaction %s, by token %s from %s",
        topics.mac_address(device.id),
        body.command,
        state.transaction,
        g.token.name,
        request.remote_addr,
    )
    response = respond(_body(device, state, state.asked_at), HTTPStatus.ACCEPTED)
    response.headers["Location"] = url_for(".command_state", mac=device.id, transaction=state.transaction)
    return response


@blueprint.get(
    "/devices/<mac>/commands/<transaction>",
    tags=openapi.COMMANDS,
    responses={200: responses.Command},
    openapi_extensions=openapi.VIEWER,
)
def command_state(path: params.CommandPath) -> Response:
    """Command: its state, and the device's answer."""
    device = lookup().find(path.mac)
    state = services().store.commands.find(device.id, path.transaction)
    if state is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"{topics.mac_address(device.id)} has no command {text.quote(path.transaction)}: use the transaction of "
            "the response to POST, within an hour",
        )
    return respond(_body(device, state, lookup().now))


def _command(body: params.CommandBody) -> Command:
    """Return a command with a new transaction.

    Raises:
        ProblemError: 400, the contract does not allow it.
    """
    kind = _KINDS[body.command]
    given = body.model_dump(exclude={"command"}, exclude_defaults=True)
    if body.name is not None:
        given["name"] = text.tidy(body.name)
    foreign = sorted(given.keys() - set(kind.__struct_fields__))
    fits = not foreign and {"set": bool(given), "model": len(given) == 1}.get(body.command, not given)
    if not fits:
        found = ", ".join(sorted(given)) or "no other field"
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"{body.command} takes {_TAKES[body.command]}; got {found}")
    try:
        command = kind(transaction=command_queue.new_transaction(), **given)
        return messages.decode(messages.encode(command), kind)
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"invalid command: {error}") from error


def _body(device: Device, state: CommandState, now: int) -> responses.Command:
    """Return a command as REST shows it at a time (Unix ms)."""
    error = None
    status: responses.CommandStatus = "pending"
    if state.response is not None:
        status, error = state.response.status, state.response.error
    elif now >= state.until:
        status = "expired"
        minutes = (state.until - state.asked_at) // 60_000
        error = f"the device {'has not answered' if state.sent else 'was not online'} within {minutes} min"
    return responses.Command(
        transaction=state.transaction,
        mac_address=topics.mac_address(device.id),
        command=state.name,
        status=status,
        error=error,
        asked_at=rfc3339(state.asked_at),
        expires_at=rfc3339(state.until),
        sent=state.sent,
    )
