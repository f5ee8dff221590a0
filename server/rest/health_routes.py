"""Whether the server lives, is ready to serve, and what it is doing: `/livez`, `/readyz` and `/metrics`."""

from http import HTTPStatus

from flask import Flask, Response, jsonify, request

from server.errors import ProblemError, StoreAwayError, UnusableError
from server.store import migrations
from server.store.types import Store
from server.web.auth import Guard
from server.web.metrics import Metrics

_OK = "ok"


def add_health(app: Flask, store: Store, guard: Guard) -> None:
    """Add the routes that orchestrators and Prometheus ask; the status code decides, `?verbose` is for people."""
    metrics = Metrics(app, store)

    @app.route("/livez")
    def livez() -> Response:
        return _say({"process": _OK}, "alive")

    @app.route("/readyz")
    def readyz() -> Response:
        checks = {"store": _check_store(store), "ingest": "not checked"}
        if checks["store"] == _OK:
            checks["ingest"] = _check_ingest(store)
        return _say(checks, "ready")

    @app.route("/metrics")
    def tell() -> Response:
        guard.check(request.headers.get("Authorization"), "viewer")
        return metrics.text()


def _check_store(store: Store) -> str:
    try:
        store.now()
        migrations.check(store)
    except (StoreAwayError, UnusableError) as error:
        return str(error)
    return _OK


def _check_ingest(store: Store) -> str:
    if store.ingest_is_there():
        return _OK
    return "ingest is not there, or not connected to broker and store: moodwire server ingest starts it"


def _say(checks: dict[str, str], word: str) -> Response:
    """Answer in a word, or with one line for each check if the request has `verbose`."""
    wrong = [result for result in checks.values() if result != _OK]
    if "verbose" in request.args:
        lines = [f"[{'+' if result == _OK else '-'}] {name}: {result}" for name, result in checks.items()]
        status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
        return Response("\n".join([*lines, word if not wrong else f"not {word}", ""]), status, mimetype="text/plain")
    if wrong:
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, wrong[0])
    return jsonify(status=word)
