"""Who may see the page."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dashboard.commands import create_app
from dashboard.login import cookie_name
from dashboard.news import News
from dashboard.settings import DashboardSettings


def app_with(key: str) -> Flask:
    """Return the application with a key, over an API that is not there."""
    nowhere = "http://127.0.0.1:9"
    return create_app(DashboardSettings(api_url=nowhere), key, News(nowhere, ""))


@pytest.fixture
def app() -> Flask:
    """Return the application with the key."""
    return app_with("the key")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a browser without cookies."""
    return app.test_client()


def test_strangers_are_sent_to_the_login(client: FlaskClient) -> None:
    """The page redirects; everything behind it is refused."""
    assert client.get("/").headers["Location"] == "/login"
    assert client.get("/_dash-layout").status_code == 401
    assert client.post("/_dash-update-component", json={}).status_code == 401
    assert client.get("/livez").status_code == 200


def test_no_other_site_may_show_the_page_or_learn_its_address(client: FlaskClient) -> None:
    """Every answer says so, that to a stranger too."""
    for path in ("/", "/login", "/livez", "/nothing"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("key", ["", "wrong", "the key ", "ключ"])
def test_a_wrong_key_is_refused(client: FlaskClient, key: str) -> None:
    """No other text opens the page, whether in the link or in the form."""
    assert client.post("/login", data={"key": key}).status_code == 403
    assert client.get("/login", query_string={"key": key}).status_code == 403
    assert client.get("/").status_code == 302


def test_the_link_logs_in_and_a_new_key_ends_it(client: FlaskClient) -> None:
    """The cookie is good for the key it was made with, over restarts, and for no other."""
    assert client.get("/login", query_string={"key": "the key"}).headers["Location"] == "/"
    assert client.get("/").status_code == 200
    cookie = client.get_cookie(cookie_name("the key"))
    assert cookie is not None

    restarted = app_with("the key").test_client()
    restarted.set_cookie(cookie.key, cookie.value)
    assert restarted.get("/").status_code == 200

    for name in (cookie.key, cookie_name("another key")):
        other = app_with("another key").test_client()
        other.set_cookie(name, cookie.value)
        assert other.get("/").status_code == 302


def test_two_dashboards_on_one_host_log_nobody_out() -> None:
    """Browsers send a cookie to every port of a host, so the cookies of two dashboards have two names."""
    browser: dict[str, str] = {}
    for key in ("the key", "another key"):
        client = app_with(key).test_client()
        client.get("/login", query_string={"key": key})
        browser |= {cookie.key: cookie.value for cookie in client._cookies.values()}

    for key in ("the key", "another key"):
        client = app_with(key).test_client()
        for name, value in browser.items():
            client.set_cookie(name, value)
        assert client.get("/").status_code == 200, key
