"""Who may do what: bearer tokens with roles, kept as hashes."""

import hashlib
import hmac
import secrets
import threading
from http import HTTPStatus
from typing import Literal

from server.problems import ProblemError
from server.settings import ServerSettings
from server.store import Store

Role = Literal["viewer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "operator")
"""Each may do what the ones before it may."""


class Guard:
    """Knows the tokens that are accepted: those of the settings, else those made at the first start."""

    def __init__(self, settings: ServerSettings, store: Store) -> None:
        given = {"viewer": settings.viewer_token, "operator": settings.operator_token}
        self._digests = {role: _digest(token) for role, token in given.items() if token}
        self._store = store
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Learn the tokens that the store keeps; make those that are missing and print each once.

        Raises:
            StoreAwayError: the store does not answer.
        """
        with self._lock:
            for role in ROLES:
                if role in self._digests:
                    continue
                # 256 random bits need no slow hash: nobody can try them all.
                token = f"mw_{role}_{secrets.token_urlsafe(32)}"
                self._digests[role] = self._store.token_digest(role, _digest(token))
                if self._digests[role] == _digest(token):
                    print(f"{role} token, shown only this once: {token}", flush=True)

    def role(self, header: str | None) -> Role | None:
        """Return the role of the token in an Authorization header, or None if it is no good or not known yet."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        digest = _digest(token.strip())
        # Each is compared, and in constant time, so that how long it takes tells nothing.
        held = [known for known in ROLES if hmac.compare_digest(digest, self._digests.get(known, ""))]
        return held[-1] if held else None

    def check(self, header: str | None, role: Role) -> None:
        """Let a request pass if its Authorization header has a token of the role or of a higher one.

        Raises:
            ProblemError: 401 for no token or an unknown one, 403 for one that may not do this.
            StoreAwayError: the tokens are not known yet.
        """
        self.prepare()
        held = self.role(header)
        if held is None and (header or "").lower().startswith("bearer "):
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, "the token is not one of this server: a viewer or operator token is right"
            )
        if held is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "the request has no token: a header like 'Authorization: Bearer mw_viewer_…' is right",
            )
        if ROLES.index(held) < ROLES.index(role):
            raise ProblemError(HTTPStatus.FORBIDDEN, f"a {held} token may not do this: an {role} token is right")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
