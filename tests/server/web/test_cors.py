"""Pages of other sites read the API only if the setting names them."""

from contextlib import closing

from clients import Client
from services import RunningStore

PAGE = "https://page.example"


def test_pages_of_other_sites_read_nothing_by_default(client: Client) -> None:
    """No header lets a browser show a response to a page of another origin."""
    for method in ("GET", "OPTIONS"):
        headers = client.ask("/api/v1/meta", method, origin=PAGE, access_control_request_method="GET").headers
        assert not [name for name, _ in headers if name.startswith("Access-Control")]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_pages_that_the_setting_names_may_read(redis_store: RunningStore) -> None:
    """A named origin gets its preflight without a token and may read responses; another may not."""
    with closing(Client(redis_store, cors_origins=f"https://other.example, {PAGE}")) as client:
        asked = {"access_control_request_method": "GET", "access_control_request_headers": "authorization"}
        preflight = client.ask("/api/v1/meta", "OPTIONS", token=None, origin=PAGE, **asked)
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        answer = client.ask("/api/v1/meta", origin=PAGE)
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Origin" in answer.headers["Vary"].split(", ")
        assert "Access-Control-Allow-Origin" not in client.ask("/api/v1/meta", origin=f"{PAGE}.evil.example").headers
        assert (
            "Access-Control-Allow-Origin" not in client.ask("/api/v1/meta", "OPTIONS", origin="null", **asked).headers
        )
