"""The server does what the OpenAPI document says, whatever the request."""

import re
from contextlib import closing
from typing import Any

import pytest
import schemathesis
from clients import MAC, OPERATOR, Client
from hypothesis import HealthCheck, given, settings
from records import DEVICE, heard, reading, status
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from services import RunningStore

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("/api/v1/devices", "GET"),
    ("/api/v1/devices", "DELETE"),
    ("/api/v1/devices/{mac}", "GET"),
    ("/api/v1/devices/{mac}", "DELETE"),
    ("/api/v1/devices/{mac}/summary", "GET"),
    ("/api/v1/devices/{mac}/events", "GET"),
    ("/api/v1/devices/{mac}/plots/{plot}.{form}", "GET"),
    ("/api/v1/devices/{mac}/commands", "POST"),
    ("/api/v1/devices/{mac}/commands/{transaction}", "GET"),
    ("/api/v1/devices/{mac}/completeness", "GET"),
    ("/api/v1/devices/{mac}/rhythm", "GET"),
    ("/api/v1/devices/{mac}/signal", "GET"),
    ("/api/v1/events", "GET"),
    ("/api/v1/alerts", "GET"),
    ("/api/v1/models", "GET"),
    ("/api/v1/meta", "GET"),
    ("/api/v1/strips", "GET"),
    ("/api/v1/token", "GET"),
    ("/api/v1/tokens", "GET"),
    ("/api/v1/tokens", "POST"),
    ("/api/v1/tokens/{name}", "DELETE"),
]
LIVE = ["/api/v1/live", "/api/v1/devices/{mac}/live"]
"""Another process serves these."""


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_as_documented(redis_store: RunningStore, path: str, method: str) -> None:
    """No generated request, valid or not, gets a response that the document does not describe, or a 500."""
    with closing(Client(redis_store)) as client:
        document = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", client.flask.application)
        operation = document[path][method]
        modes = schemathesis.GenerationMode
        draws = [operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)]

        # It does not undo what a server compresses.
        headers = {"Authorization": f"Bearer {OPERATOR}", "Accept-Encoding": "identity"}

        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        @settings(max_examples=20, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(*draws)
        def run(right: Any, wrong: Any) -> None:
            _fill(client)
            for case in (right, wrong):
                ask(case)
            if "mac" in right.path_parameters:
                right.path_parameters["mac"] = MAC
                ask(right)

        run()


def test_every_route_is_documented_with_its_role(client: Client) -> None:
    """The operations are those listed here; each names its role, its problems and the security scheme."""
    document = client.ask("/api/v1/openapi.json", token=None).json
    live = {path: document["paths"].pop(path) for path in LIVE}
    assert {method["get"]["servers"][0]["variables"]["port"]["default"] for method in live.values()} == {"8082"}
    found = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert found == set(OPERATIONS)
    assert document["openapi"].startswith("3.1.")
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            is_read = method == "get" and path != "/api/v1/tokens"
            assert operation["x-required-role"] == ("viewer" if is_read else "operator"), path
            assert operation["security"] == [{"token": []}]
            done = {"/api/v1/tokens": "201"}.get(path, "202") if method == "post" else "200"
            found = set(operation["responses"]) - ({"409"} if "/tokens" in path else set())
            assert found == {done, "400", "401", "403", "404", "413", "415", "429", "500", "503"}
            for status_code, response in operation["responses"].items():
                assert ("application/problem+json" in response["content"]) == (status_code != done)


def test_every_reference_has_its_schema(client: Client) -> None:
    """Each schema that the document refers to is in it."""
    document = client.ask("/api/v1/openapi.json", token=None)
    names = set(re.findall('"#/components/schemas/([^"]+)"', document.text))
    assert names <= document.json["components"]["schemas"].keys()
    assert "CommandBody" in names


def _fill(client: Client) -> None:
    """Have a device with something of everything, if there is none."""
    if client.store.device(DEVICE) is None:
        now, generation = client.store.now(), client.store.generation(DEVICE)
        readings = [reading(number, now - 1000 * number, gen=generation) for number in range(5)]
        silence = heard(5, now - 120_000, gen=generation)
        client.store.write([(DEVICE, message) for message in [status(), *readings, silence]])
