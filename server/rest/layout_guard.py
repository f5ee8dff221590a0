"""Refuses requests while the store's data has another layout than this version reads."""

import time
from http import HTTPStatus

from flask import Flask, request

from server.errors import ProblemError, StoreAwayError, UnusableError
from server.store import layout
from server.store.redis_store import RedisStore

_FRESH_S = 2.0
"""How soon a store with another layout is noticed."""
_WITHOUT_STORE = ("/livez", "/readyz")
"""`/readyz` names the layout itself."""


def add_layout_guard(app: Flask, store: RedisStore) -> None:
    """Answer 503 as long as the store's data has another layout than this version's."""
    problem = ""
    check_again_s = 0.0

    @app.before_request
    def check_layout() -> None:
        nonlocal problem, check_again_s
        if request.path in _WITHOUT_STORE:
            return
        if time.monotonic() >= check_again_s:
            check_again_s = time.monotonic() + _FRESH_S
            try:
                layout.check(store.execute)
            except UnusableError as error:
                problem = str(error)
            except StoreAwayError:
                pass  # a route that needs the store answers 503 itself
            else:
                problem = ""
        if problem:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, problem)
