"""Sessions: who is logged in. The browser holds a random number only, and the disk nothing that opens REST without it.

A session's token is sealed with a key made of the cookie (NaCl's secretbox, https://nacl.cr.yp.to/secretbox.html), so
the file alone is worth nothing, and the cookie alone neither.
"""

import hashlib
import json
import logging
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from common import files

log = logging.getLogger(__name__)

MOST = 1000
"""Sessions; a further one ends the oldest."""


@dataclass(frozen=True)
class Session:
    """A browser that is logged in."""

    token: str
    """Bearer token for REST; never leaves this process."""
    name: str
    """Of the token."""
    role: str
    """viewer or operator."""
    expires_at: int
    """Unix seconds."""
    key: str
    """Digest of the dashboard's key, if that was what logged in."""
    csrf: str
    """What a request that changes something must carry as a header, which no other site can send."""


class Sessions:
    """All sessions, in memory and, given a path, on disk; for one thread.

    Args:
        path: Keeps them over a restart; None for memory only.
        lifetime_s: How long a session lasts.
        clock_s: Tells the time, Unix seconds.
    """

    def __init__(self, path: Path | None, lifetime_s: int, clock_s: Callable[[], float] = time.time) -> None:
        self._path = path
        self.lifetime_s = lifetime_s
        self._clock_s = clock_s
        self._sealed: dict[str, dict[str, Any]] = self._load()
        """`expires_at` and `sealed` by the digest of the cookie, oldest first."""
        self._opened: dict[str, Session] = {}

    def open(self, token: str, name: str, role: str, key: str = "") -> tuple[str, Session]:
        """Return the cookie of a new session, and the session."""
        cookie = secrets.token_urlsafe(32)
        expires_at = int(self._clock_s()) + self.lifetime_s
        session = Session(token, name, role, expires_at, key, _csrf(cookie))
        sealed = SecretBox(_key(cookie)).encrypt(json.dumps(asdict(session)).encode())
        self._sealed[_digest(cookie)] = {"expires_at": expires_at, "sealed": b64encode(sealed).decode()}
        self._opened[_digest(cookie)] = session
        self._save()
        return cookie, session

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None if there is none, or no more."""
        digest = _digest(cookie)
        kept = self._sealed.get(digest)
        if kept is None or kept["expires_at"] <= self._clock_s():
            return None
        if digest not in self._opened:
            try:
                opened = SecretBox(_key(cookie)).decrypt(b64decode(kept["sealed"]))
                self._opened[digest] = Session(**json.loads(opened))
            except (CryptoError, ValueError, TypeError):  # a damaged file, or one of another version
                return None
        return self._opened[digest]

    def close(self, cookie: str) -> None:
        """End a session."""
        if self._sealed.pop(_digest(cookie), None):
            self._opened.pop(_digest(cookie), None)
            self._save()

    def _load(self) -> dict[str, dict[str, Any]]:
        if self._path is None or not self._path.exists():
            return {}
        try:
            found = json.loads(self._path.read_bytes())
            return {
                str(digest): {"expires_at": int(kept["expires_at"]), "sealed": str(kept["sealed"])}
                for digest, kept in found.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("cannot read the sessions in %s (%s): everyone logs in again", self._path, error)
            return {}

    def _save(self) -> None:
        now = self._clock_s()
        kept = [(digest, session) for digest, session in self._sealed.items() if session["expires_at"] > now]
        self._sealed = dict(kept[-MOST:])
        self._opened = {digest: session for digest, session in self._opened.items() if digest in self._sealed}
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._path.exists():
                files.create_private(self._path, "")
            files.replace(self._path, json.dumps(self._sealed).encode())
        except OSError as error:
            log.warning(
                "cannot keep the sessions in %s (%s): everyone logs in again after a restart", self._path, error
            )


def _digest(cookie: str) -> str:
    return hashlib.sha256(b"moodwire session " + cookie.encode()).hexdigest()


def _key(cookie: str) -> bytes:
    return hashlib.sha256(b"moodwire session key " + cookie.encode()).digest()


def _csrf(cookie: str) -> str:
    return hashlib.sha256(b"moodwire csrf " + cookie.encode()).hexdigest()
