"""Whether the store's data has the layout of this version; REST answers nothing from another one."""

import time
from http import HTTPStatus

from flask import Flask, request

from server.errors import ProblemError, StoreAwayError, UnusableError
from server.store import layout
from server.store.redis_store import RedisStore

_FRESH_S = 2.0
"""How soon a store with another layout is noticed."""
_WITHOUT_STORE = ("/livez", "/readyz")
"""The second says itself what is wrong."""


def add_check(app: Flask, store: RedisStore) -> None:
    """Answer 503 as long as the store's data has another layout than ours."""
    wrong = ""
    again_s = 0.0

    @app.before_request
    def look() -> None:
        nonlocal wrong, again_s
        if request.path in _WITHOUT_STORE:
            return
        if time.monotonic() >= again_s:
            again_s = time.monotonic() + _FRESH_S
            try:
                layout.check(store.execute)
            except UnusableError as error:
                wrong = str(error)
            except StoreAwayError:
                pass  # what needs the store says so
            else:
                wrong = ""
        if wrong:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, wrong)
