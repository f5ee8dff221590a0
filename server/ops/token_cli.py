"""`moodwire server token add|list|revoke`: who may use the REST API."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import typed_settings as ts

from server.errors import StoreAwayError, UnusableError
from server.settings import ServerSettings
from server.store.redis_store import open_store
from server.store.tokens import ROLES, Role, Tokens


@ts.settings(frozen=True)
class TokenSettings(ServerSettings):
    """Settings of the commands about one token."""

    token_name: str = ts.option(default="", help="name of the token: who or what holds it, such as grafana")


@ts.settings(frozen=True)
class NewTokenSettings(TokenSettings):
    """Settings of `moodwire server token add`."""

    role: Role = ts.option(default="viewer", help="viewer: may read; operator: may also delete and give commands")


def add(settings: NewTokenSettings) -> int:
    """Make a token and print it, alone on stdout for scripts; return 0, or 2 with a sentence on stderr."""

    def work(tokens: Tokens) -> int:
        made = tokens.add(settings.token_name, settings.role)
        if made is None:
            raise ValueError(
                f"there is a token {settings.token_name} already: use another --token-name, or revoke that one first"
            )
        print(f"{settings.role} token {settings.token_name}, shown only this once:", file=sys.stderr)
        print(made)
        return 0

    return _with_tokens("add", settings, work)


def show(settings: ServerSettings) -> int:
    """Print names, roles and times of all tokens; return 0, or 2 with a sentence."""

    def work(tokens: Tokens) -> int:
        rows = [("name", "role", "made (UTC)", "made by", "last used")]
        given = dict(zip(ROLES, (settings.viewer_token, settings.operator_token), strict=True))
        rows += [(f"{role}_token", role, "a setting", "", "not kept") for role in ROLES if given[role]]
        for token, used in tokens.listed():
            last = "never" if used is None else _hour(used)
            rows.append((token.name, token.role, _minute(token.made), token.made_by or "a command", last))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        return 0

    return _with_tokens("list", settings, work)


def revoke(settings: TokenSettings) -> int:
    """Revoke a token, with effect in seconds; return 0, or 2 with a sentence on stderr."""

    def work(tokens: Tokens) -> int:
        if settings.token_name in [f"{role}_token" for role in ROLES]:
            raise ValueError(
                f"{settings.token_name} is a setting of the server: change it there and restart the server"
            )
        if not tokens.revoke(settings.token_name):
            raise ValueError(
                f"token_name {settings.token_name!r} names no token: `moodwire server token list` shows them"
            )
        print(f"the token {settings.token_name} is accepted no more")
        return 0

    return _with_tokens("revoke", settings, work)


def _with_tokens(command: str, settings: ServerSettings, work: Callable[[Tokens], int]) -> int:
    try:
        return work(open_store(settings).tokens)
    except (UnusableError, StoreAwayError, ValueError) as error:
        print(f"moodwire server token {command}: {error}", file=sys.stderr)
        return 2


def _minute(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}"


def _hour(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H} h"
