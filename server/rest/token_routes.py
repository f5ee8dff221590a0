"""The routes about tokens: whose the one is that asks, and for operators which there are, a new one, and one less."""

import logging
from http import HTTPStatus

from flask import Response, g, request, url_for

from common import text
from server.errors import ProblemError
from server.query.time_range import rfc3339
from server.rest import openapi, params, responses
from server.rest.blueprint import make_blueprint, services
from server.rest.responses import respond
from server.store.tokens import Token, TooManyTokensError

blueprint = make_blueprint("token")
all_blueprint = make_blueprint("tokens", reader="operator")

audit = logging.getLogger("moodwire.audit")

_CONFLICT = openapi.problems([HTTPStatus.CONFLICT])


@blueprint.get("/token", tags=openapi.TOKEN, responses={200: responses.TokenFacts}, openapi_extensions=openapi.VIEWER)
def token() -> Response:
    """Token: name and role of the token that the request carries."""
    return respond(responses.TokenFacts(name=g.token.name, role=g.token.role))


@all_blueprint.get(
    "/tokens", tags=openapi.TOKEN, responses={200: responses.KnownTokens}, openapi_extensions=openapi.OPERATOR
)
def tokens() -> Response:
    """Token: all that are accepted, who made them and when they were used last; never the tokens themselves."""
    from_settings = [_known(each, None, is_setting=True) for each in services().guard.from_settings]
    kept = [_known(each, used, is_setting=False) for each, used in services().store.tokens.listed()]
    return respond(responses.KnownTokens(tokens=[*from_settings, *kept]))


@all_blueprint.post(
    "/tokens",
    tags=openapi.TOKEN,
    responses={201: responses.NewToken, **_CONFLICT},
    openapi_extensions=openapi.OPERATOR,
)
def make_token(body: params.TokenBody) -> Response:
    """Token: makes one; the answer is the only one that has it. It is accepted within two seconds."""
    try:
        made = services().store.tokens.add(body.name, body.role, made_by=g.token.name)
    except TooManyTokensError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from error
    if made is None:
        detail = f"there is a token {body.name} already: use another name, or revoke that one first"
        raise ProblemError(HTTPStatus.CONFLICT, detail)
    audit.info(
        "made the %s token %s, asked by token %s from %s", body.role, body.name, g.token.name, request.remote_addr
    )
    response = respond(responses.NewToken(name=body.name, role=body.role, token=made), HTTPStatus.CREATED)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Location"] = url_for(".revoke_token", name=body.name)
    return response


@all_blueprint.delete(
    "/tokens/<name>",
    tags=openapi.TOKEN,
    responses={200: responses.RevokedToken, **_CONFLICT},
    openapi_extensions=openapi.OPERATOR,
)
def revoke_token(path: params.TokenPath) -> Response:
    """Token: revokes one; requests with it are refused within two seconds, and its live events end within 15 s."""
    if any(path.name == each.name for each in services().guard.from_settings):
        detail = f"{path.name} is a setting of the server: change it there and restart the server"
        raise ProblemError(HTTPStatus.CONFLICT, detail)
    if not services().store.tokens.revoke(path.name):
        detail = f"there is no token {text.quote(path.name)}: GET /api/v1/tokens lists them"
        raise ProblemError(HTTPStatus.NOT_FOUND, detail)
    audit.info("revoked the token %s, asked by token %s from %s", path.name, g.token.name, request.remote_addr)
    return respond(responses.RevokedToken(name=path.name))


def _known(each: Token, used_s: int | None, *, is_setting: bool) -> responses.KnownToken:
    return responses.KnownToken(
        name=each.name,
        role=each.role,
        made_at=None if is_setting else rfc3339(each.made * 1000),
        made_by=each.made_by,
        last_used_at=None if used_s is None else rfc3339(used_s * 1000),
        is_setting=is_setting,
        is_yours=each.name == g.token.name,
    )
