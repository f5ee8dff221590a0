"""Who may do what: bearer tokens with roles, compared as hashes."""

import contextlib
import hmac
import threading
import time
from http import HTTPStatus

from server.errors import ProblemError, StoreAwayError
from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.store.tokens import ROLES, Role, Token, digest

_FRESH_S = 2.0
"""So soon a token that was added or revoked elsewhere is accepted, or no more."""
_HOUR_S = 3600.0


class Guard:
    """Knows the tokens that are accepted: those of the settings, and those that the store keeps."""

    def __init__(self, settings: ServerSettings, store: RedisStore) -> None:
        given: dict[Role, str] = {"viewer": settings.viewer_token, "operator": settings.operator_token}
        # Named like their settings, which no token of the store can be.
        self._given = [Token(f"{role}_token", role, digest(token), 0) for role, token in given.items() if token]
        self._tokens = store.tokens
        self._kept: list[Token] = []
        self._prepared = False
        self._learn_again_s = 0.0
        self._note_again_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the first token of each role that the settings have none for, print each once, and learn the others.

        Raises:
            StoreAwayError: the store does not answer.
        """
        with self._lock:
            if self._prepared:
                return
            for role in ROLES:
                if any(token.role == role for token in self._given):
                    continue
                made = self._tokens.make_first(role)
                if made:
                    print(f"{role} token, shown only this once: {made}", flush=True)
            if len(self._given) < len(ROLES):
                self._learn()
            self._prepared = True

    def holder(self, header: str | None) -> Token | None:
        """Return the token in an Authorization header, or None if it is no good or not known yet."""
        scheme, _, text = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            return None
        wanted = digest(text.strip())
        return _find(wanted, self._given) or _find(wanted, self._fresh())

    def check(self, header: str | None, role: Role) -> Token:
        """Let a request pass if its Authorization header has a token of the role or of a higher one, and return it.

        Raises:
            ProblemError: 401 for no token or an unknown one, 403 for one that may not do this.
            StoreAwayError: the tokens are not known yet.
        """
        self.prepare()
        held = self.holder(header)
        if held is None and (header or "").lower().startswith("bearer "):
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, "the token is not one of this server: a viewer or operator token is right"
            )
        if held is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "the request has no token: a header like 'Authorization: Bearer mw_viewer_…' is right",
            )
        if ROLES.index(held.role) < ROLES.index(role):
            raise ProblemError(HTTPStatus.FORBIDDEN, f"a {held.role} token may not do this: an {role} token is right")
        self._note_use(held)
        return held

    def _fresh(self) -> list[Token]:
        """Return the tokens of the store as they were a moment ago, or as known last while it does not answer."""
        with self._lock:
            if time.monotonic() >= self._learn_again_s:
                try:
                    self._learn()
                except StoreAwayError:  # what needs the store is answered 503 anyway
                    self._learn_again_s = time.monotonic() + _FRESH_S
            return self._kept

    def _learn(self) -> None:
        self._kept = self._tokens.accepted()
        self._learn_again_s = time.monotonic() + _FRESH_S

    def _note_use(self, token: Token) -> None:
        """Keep about when a token of the store was used: once an hour is enough for people."""
        if token in self._given or time.monotonic() < self._note_again_s.get(token.name, 0.0):
            return
        self._note_again_s[token.name] = time.monotonic() + _HOUR_S
        with contextlib.suppress(StoreAwayError):
            self._tokens.note_use(token.name)


def _find(wanted: str, tokens: list[Token]) -> Token | None:
    """Return the token of a digest; each is compared, and in constant time, so how long it takes tells nothing."""
    found = [token for token in tokens if hmac.compare_digest(token.digest, wanted)]
    return found[0] if found else None
