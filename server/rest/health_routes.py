"""Whether the server lives, is ready to serve, and what it is doing: `/livez`, `/readyz` and `/metrics`.

The status code decides; `?verbose` is for people. Orchestrators ask without a token.
"""

from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request

from server.errors import ProblemError, StoreAwayError, UnusableError
from server.rest.blueprint import services
from server.store import layout
from server.store.redis_store import RedisStore

blueprint = Blueprint("health", __name__)

_OK = "ok"


@blueprint.get("/livez")
def livez() -> Response:
    """Say that the process answers."""
    return _report({"process": _OK}, "alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether store and ingest are there, as it was at most a second ago."""
    return _report(services().readiness(), "ready")


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return what Prometheus reads; takes a token."""
    services().guard.check(request.headers.get("Authorization"), "viewer", request.remote_addr or "")
    return services().metrics.text()


def check_readiness(store: RedisStore) -> dict[str, str]:
    """Return what is needed to serve, each with `ok` or a sentence that says what is wrong."""
    checks = {"store": _check_store(store), "ingest": "not checked"}
    if checks["store"] == _OK:
        checks["ingest"] = _check_ingest(store)
    return checks


def _check_store(store: RedisStore) -> str:
    try:
        store.now()
        layout.check(store.execute)
    except (StoreAwayError, UnusableError) as error:
        return str(error)
    return _OK


def _check_ingest(store: RedisStore) -> str:
    state = store.ingest_state()
    if state and state.doubt:
        return f"ingest confirms nothing: {state.doubt}"
    if state:
        return _OK
    return "ingest is not connected to broker and store: start it with moodwire server ingest"


def _report(checks: dict[str, str], word: str) -> Response:
    """Answer in a word, or with a line for each check if the request has `verbose`."""
    failed = [result for result in checks.values() if result != _OK]
    if "verbose" in request.args:
        lines = [f"[{'+' if result == _OK else '-'}] {name}: {result}" for name, result in checks.items()]
        status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
        return Response("\n".join([*lines, f"not {word}" if failed else word, ""]), status, mimetype="text/plain")
    if failed:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, failed[0])
    return jsonify(status=word)
