"""Places for subscribers: how many there are in all, for one token, for one address, and for operators alone."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from server.errors import ProblemError
from server.store.tokens import Token

MOST = 5000
FOR_VIEWERS = 4500
"""The others are for operators, whom nobody with a viewer's token can keep out."""
OF_A_TOKEN = 1000
"""Wherever its connections come from."""
OF_AN_ADDRESS = 2500
"""Behind a proxy all clients share one."""
_RETRY_S = 60


class Places:
    """Who holds how many places; all in one event loop."""

    def __init__(self) -> None:
        self._tokens: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    @contextlib.contextmanager
    def take(self, token: Token, address: str) -> Iterator[None]:
        """Hold a place as long as the context lasts.

        Raises:
            ProblemError: 429, the token or the address has as many as it may have; 503, none is left.
        """
        taken, of_token, of_address = self._tokens.total(), self._tokens[token.name], self._addresses[address]
        if of_token >= OF_A_TOKEN:
            detail = f"this token has {of_token} live connections, the limit: close one first"
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, _RETRY_S)
        if of_address >= OF_AN_ADDRESS:
            detail = f"this address has {of_address} live connections, the limit: close one first"
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, _RETRY_S)
        if taken >= (MOST if token.role == "operator" else FOR_VIEWERS):
            detail = f"there are {taken} live connections, the limit for {token.role} tokens: try again later"
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, _RETRY_S)
        self._change(token.name, address, 1)
        try:
            yield
        finally:
            self._change(token.name, address, -1)

    def _change(self, token: str, address: str, by: int) -> None:
        for counter, key in ((self._tokens, token), (self._addresses, address)):
            counter[key] += by
            if not counter[key]:
                del counter[key]
