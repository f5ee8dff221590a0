"""Access: bearer tokens with roles, compared as hashes."""

import contextlib
import hmac
import logging
import threading
import time
from http import HTTPStatus

from common import text
from common.throttle import Throttle
from server.errors import ProblemError, StoreAwayError
from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.store.tokens import ROLES, Role, Token, digest

log = logging.getLogger(__name__)

_FRESH_S = 2.0
"""How soon a token that was added or revoked elsewhere counts."""
_HOUR_S = 3600.0


class Guard:
    """Checks tokens: those of the settings, and those that the store keeps."""

    def __init__(self, settings: ServerSettings, store: RedisStore) -> None:
        given: dict[Role, str] = {"viewer": settings.viewer_token, "operator": settings.operator_token}
        # Named like their settings, as no token of the store can be.
        self.from_settings = [Token(f"{role}_token", role, digest(token), 0) for role, token in given.items() if token]
        """Those of the settings."""
        self._tokens = store.tokens
        self._from_store: list[Token] = []
        self._prepared = False
        self._load_again_s = 0.0
        self._note_use_again_s: dict[str, float] = {}
        self._lock = threading.Lock()
        self._failures = Throttle(log, "an unknown token")
        self._failures_lock = threading.Lock()

    @property
    def failures(self) -> int:
        """Requests with an unknown token since the start."""
        return self._failures.count

    def prepare(self) -> None:
        """Make and print the first token of each role without a setting, and load the tokens of the store.

        Raises:
            StoreAwayError: the store does not answer.
        """
        with self._lock:
            if self._prepared:
                return
            for role in ROLES:
                if any(token.role == role for token in self.from_settings):
                    continue
                made = self._tokens.make_first(role)
                if made:
                    print(f"{role} token, shown only this once: {made}", flush=True)
            if len(self.from_settings) < len(ROLES):
                self._load()
            self._prepared = True

    def find(self, header: str | None) -> Token | None:
        """Return the token in an Authorization header, or None if it is missing or unknown."""
        scheme, _, given = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            return None
        wanted = digest(given.strip())
        return _find(wanted, self.from_settings) or _find(wanted, self._fresh())

    def check(self, header: str | None, role: Role, address: str) -> Token:
        """Return the token in an Authorization header if it has the role, or a higher one.

        A known token is accepted however many unknown ones come from its address: behind a proxy all share one.

        Args:
            header: As the client sent it.
            role: Least role.
            address: Of the client; too many unknown tokens from there are told to wait.

        Raises:
            ProblemError: 401 for no token or an unknown one, 403 for one that may not do this, 429 for the next unknown
                one after too many.
            StoreAwayError: the tokens have not been loaded yet.
        """
        self.prepare()
        held = self.find(header)
        if held is None and (header or "").lower().startswith("bearer "):
            raise self._unknown(address)
        if held is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "the request has no token: send a header like 'Authorization: Bearer mw_viewer_…'",
            )
        if ROLES.index(held.role) < ROLES.index(role):
            raise ProblemError(HTTPStatus.FORBIDDEN, f"a {held.role} token may not do this: use an {role} token")
        self._note_use(held)
        return held

    def _unknown(self, address: str) -> ProblemError:
        """Return the problem of an unknown token, after counting it."""
        with self._failures_lock:
            wait_s = self._failures.wait_s(address)
            if not wait_s:
                self._failures.fail(address)
                detail = "unknown token: use a viewer or operator token of this server"
                return ProblemError(HTTPStatus.UNAUTHORIZED, detail)
            self._failures.count += 1
        detail = f"too many unknown tokens from {text.quote(address)}: use a token of this server, or wait {wait_s} s"
        return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, wait_s)

    def _fresh(self) -> list[Token]:
        """Return the tokens of the store, loaded a moment ago, or as they were while it does not answer."""
        with self._lock:
            if time.monotonic() >= self._load_again_s:
                try:
                    self._load()
                except StoreAwayError:  # what needs the store is answered 503 anyway
                    self._load_again_s = time.monotonic() + _FRESH_S
            return self._from_store

    def _load(self) -> None:
        self._from_store = self._tokens.accepted()
        self._load_again_s = time.monotonic() + _FRESH_S

    def _note_use(self, token: Token) -> None:
        """Note about once an hour that a token of the store is in use."""
        if token in self.from_settings or time.monotonic() < self._note_use_again_s.get(token.name, 0.0):
            return
        self._note_use_again_s[token.name] = time.monotonic() + _HOUR_S
        with contextlib.suppress(StoreAwayError):
            self._tokens.note_use(token.name)


def _find(wanted: str, tokens: list[Token]) -> Token | None:
    """Return the token with a digest; compares all of them, each in constant time, so that the time tells nothing."""
    found = [token for token in tokens if hmac.compare_digest(token.digest, wanted)]
    return found[0] if found else None
