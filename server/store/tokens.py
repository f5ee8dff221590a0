"""Named bearer tokens: how they are made, kept and revoked.

A token is 256 random bits, so nobody can try them all, and one SHA-256 of it is as good as a slow hash, which
makes guessable passwords costly to try. What is kept cannot be turned back into a token.
"""

import hashlib
import re
import secrets
import time
from typing import Literal, NamedTuple

import msgspec

from common.text import quote
from server.store import full, keys
from server.store.types import Execute

Role = Literal["viewer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "operator")
"""Each may do what the ones before it may."""

MOST = 200
"""Tokens at a time, so that whoever may make some cannot fill the store with them."""
_HOUR_S = 3600
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Token(msgspec.Struct, frozen=True):
    """A token as it is kept."""

    name: str
    role: Role
    digest: str
    """SHA-256 in hex; empty once it has been revoked."""
    made: int
    """Unix s."""
    made_by: str = ""
    """Name of the token that asked for it over REST; empty where a command or the first start made it."""


_decoder = msgspec.json.Decoder(Token)


class TokenUse(NamedTuple):
    """A token that is accepted, and when it was used last."""

    token: Token
    used: int | None
    """Start of the hour, Unix s."""


class TooManyTokensError(ValueError):
    """There are as many tokens as there may be; the text says what to do."""


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def new(name: str, role: Role, made_by: str = "") -> tuple[str, Token]:
    """Return a fresh token as its holder needs it, and as it is kept.

    Raises:
        ValueError: the name is not usable.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{quote(name)} is no name of a token: use 1 to 32 lower-case letters, digits and hyphens, such as grafana"
        )
    text = f"mw_{role}_{secrets.token_urlsafe(32)}"
    return text, Token(name, role, digest(text), int(time.time()), made_by)


class Tokens:
    """The tokens in the store, beside those of the settings.

    Every method raises `StoreAwayError` when the store cannot answer.

    Args:
        execute: Sends one command to the store and returns its reply.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def accepted(self) -> list[Token]:
        """Return the tokens that are not revoked, by name."""
        return [token for token in self._kept() if token.digest]

    def listed(self) -> list[TokenUse]:
        """Return the tokens that are not revoked, by name, with their last use."""
        used = self._execute("HGETALL", keys.TOKENS_USED)
        return [
            TokenUse(token, int(used[token.name.encode()]) if token.name.encode() in used else None)
            for token in self.accepted()
        ]

    def make_first(self, role: Role) -> str | None:
        """Make a token named like its role, unless there has ever been one; return it for its holder."""
        text, token = new(role, role)
        made = self._execute(*full.command("HSETNX", keys.TOKENS, role, msgspec.json.encode(token)))
        return text if made else None

    def add(self, name: str, role: Role, made_by: str = "") -> str | None:
        """Make a token and return it for its holder; None if another one has the name.

        Args:
            name: Of who or what holds it.
            role: What it may do.
            made_by: Name of the token that asks for it; empty for a command.

        Raises:
            TooManyTokensError: there are `MOST`.
            ValueError: the name is not usable.
        """
        text, token = new(name, role, made_by)
        accepted = self.accepted()
        if any(other.name == name for other in accepted):
            return None
        if len(accepted) >= MOST:
            raise TooManyTokensError(f"there are {MOST} tokens: revoke one that nobody uses first")
        self._execute("HDEL", keys.TOKENS_USED, name)
        self._execute(*full.command("HSET", keys.TOKENS, name, msgspec.json.encode(token)))
        return text

    def revoke(self, name: str) -> bool:
        """Accept a token no more; False if none has that name.

        The name of a first token is kept, so that the next start does not make it again.
        """
        for token in self.accepted():
            if token.name == name:
                if name in ROLES:
                    gone = msgspec.structs.replace(token, digest="")
                    self._execute(*full.command("HSET", keys.TOKENS, name, msgspec.json.encode(gone)))
                else:
                    self._execute("HDEL", keys.TOKENS, name)
                self._execute("HDEL", keys.TOKENS_USED, name)
                return True
        return False

    def note_use(self, name: str) -> None:
        """Keep the hour of a token's last use."""
        self._execute("HSET", keys.TOKENS_USED, name, int(time.time()) // _HOUR_S * _HOUR_S)

    def _kept(self) -> list[Token]:
        kept = self._execute("HGETALL", keys.TOKENS)
        return [_decoder.decode(kept[name]) for name in sorted(kept)]
