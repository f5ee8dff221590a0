"""Client of the REST application over a real store."""

from typing import Any

from flask.testing import FlaskClient
from records import DAY_MS
from services import RunningStore

from server.rest.app import create_app
from server.settings import ServerSettings
from server.store.redis_store import RedisStore
from server.web.auth import Guard

VIEWER, OPERATOR = "v" * 20, "o" * 20
MAC = "01:23:45:67:89:ab"
URL = f"/api/v1/devices/{MAC}"


class Client:
    """Client with a token."""

    def __init__(self, running: RunningStore, **changes: Any) -> None:
        settings = ServerSettings(viewer_token=VIEWER, operator_token=OPERATOR, **changes)
        self.store = RedisStore(running.url, 90 * DAY_MS, 730 * DAY_MS)
        self.store.prepare()
        self.flask: FlaskClient = create_app(self.store, settings, Guard(settings, self.store)).test_client()

    def ask(self, path: str, method: str = "GET", token: str | None = VIEWER, **headers: str) -> Any:
        """Return the response to a request; headers are named as in Python, `if_none_match`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        return self.flask.open(path, method=method, headers=named)

    def get(self, path: str) -> Any:
        """Return the body of a successful answer."""
        response = self.ask(path)
        assert response.status_code == 200, response.text
        return response.json

    def problem(self, path: str, status_code: int, **request: Any) -> str:
        """Return the `detail` of an answer that must be a problem."""
        response = self.ask(path, **request)
        assert (response.status_code, response.mimetype) == (status_code, "application/problem+json"), response.text
        assert set(response.json) == {"type", "title", "status", "detail", "instance"}
        assert response.json["status"] == status_code
        return str(response.json["detail"])

    def close(self) -> None:
        """Close the store's connections."""
        self.store.close()
