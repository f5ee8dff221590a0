"""Who may see the page, and for how long."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboards import Dashboard, MadeUp, dashboard


@pytest.fixture
def rest() -> Iterator[MadeUp]:
    """Make up a REST API."""
    made_up = MadeUp()
    yield made_up
    made_up.stop()


@pytest.fixture
def page(rest: MadeUp) -> Iterator[Dashboard]:
    """Serve the dashboard."""
    with dashboard(rest, rest) as running:
        yield running


def test_strangers_are_sent_to_the_login(page: Dashboard) -> None:
    """The page redirects; everything behind it is refused."""
    stranger = page.browser()

    assert stranger.get("/").headers["Location"] == "/login"
    for path in ("/session", "/pulse", "/live", "/api/v1/devices"):
        assert stranger.get(path).status_code == 401, path
    assert stranger.post("/logout").status_code == 401
    assert stranger.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/", "/login", "/livez", "/nothing", "/session", "/api/v1/devices", "/icon.svg"])
def test_no_other_site_may_show_the_page_or_learn_its_address(page: Dashboard, path: str) -> None:
    """Every response says so, that to a stranger too; the page itself may load nothing but its own files."""
    headers = page.browser("v-token" if path == "/" else "").get(path).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize("key", ["", "wrong", "the key ", "ключ", "v-token\r\nX: y"])
def test_a_wrong_key_is_refused(page: Dashboard, key: str) -> None:
    """No other text opens the page, whether in the link or in the form."""
    browser = page.browser()
    typed = key if key.strip() != "the key" else "the  key"

    assert browser.post("/login", data={"token": typed}).status_code == 403
    assert browser.get("/login", params={"key": key}).status_code == 403
    assert browser.get("/").status_code == 303


def test_the_link_logs_in_and_a_new_key_ends_it(rest: MadeUp, tmp_path: Path) -> None:
    """The cookie is good for the key it was made with, over restarts, and for no other."""
    kept = tmp_path / "sessions.json"
    with dashboard(rest, rest, kept) as page:
        browser = page.browser()
        assert browser.get("/login", params={"key": "the key"}).headers["Location"] == "/"
        assert browser.get("/").status_code == 200
    for key, status in (("the key", 200), ("another key", 303)):
        with dashboard(rest, rest, kept, key) as page:
            browser.url = page.url
            browser.cookies.update({f"moodwire-{page.url.rpartition(':')[2]}": browser.cookies.values()[0]})
            assert browser.get("/").status_code == status, key


def test_two_dashboards_on_one_host_log_nobody_out(rest: MadeUp) -> None:
    """Browsers send a cookie to every port of a host, so the cookies of two dashboards have two names."""
    with dashboard(rest, rest) as one, dashboard(rest, rest) as other:
        browser = one.browser("v-token")
        browser.url = other.url
        browser.post("/login", data={"token": "o-token"})

        assert browser.get("/session").json()["role"] == "operator"
        browser.url = one.url
        assert browser.get("/session").json()["role"] == "viewer"


def test_the_browser_never_holds_the_token(page: Dashboard, rest: MadeUp) -> None:
    """The cookie is closed to scripts and other sites, and neither it nor any response has the token in it."""
    browser = page.browser()
    entered = browser.post("/login", data={"token": "o-token"}, headers={"X-Forwarded-Proto": "https"})
    plain = page.browser().post("/login", data={"token": "o-token"})

    words = entered.headers["Set-Cookie"].lower()
    assert all(word in words for word in ("httponly", "samesite=strict", "secure", "max-age=3600", "path=/"))
    assert "secure" not in plain.headers["Set-Cookie"].lower()
    assert entered.headers["Strict-Transport-Security"] == "max-age=31536000"
    told = [entered.headers["Set-Cookie"], page.browser("o-token").get("/session").text]
    assert [text for text in told if "o-token" in text] == []


def test_what_is_kept_on_disk_opens_nothing(rest: MadeUp, tmp_path: Path) -> None:
    """The file is its owner's only, and has neither the token nor the cookie in it."""
    kept = tmp_path / "state" / "sessions.json"
    with dashboard(rest, rest, kept) as page:
        browser = page.browser("o-token")

    content = kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "o-token" not in content
    assert browser.cookies.values()[0] not in content


def test_a_damaged_file_of_sessions_logs_everyone_out(rest: MadeUp, tmp_path: Path) -> None:
    """It is a warning, not the end."""
    kept = tmp_path / "sessions.json"
    kept.write_text('{"a": 1')
    with dashboard(rest, rest, kept) as page:
        assert page.browser("v-token").get("/").status_code == 200


def test_logging_out_ends_the_session_for_every_copy_of_its_cookie(page: Dashboard) -> None:
    """A stolen cookie is worth nothing afterwards."""
    browser = page.browser("v-token")
    thief = page.browser()
    thief.cookies.update(browser.cookies)
    assert thief.get("/session").ok

    assert browser.post("/logout", headers={"X-CSRF-Token": browser.csrf}).status_code == 204

    assert thief.get("/session").status_code == 401


def test_a_session_ends_with_its_time(rest: MadeUp) -> None:
    """After that the page asks to log in again."""
    with dashboard(rest, rest, lifetime_s=0) as page:
        browser = page.browser()
        browser.post("/login", data={"token": "v-token"})
        assert browser.get("/session").status_code == 401


def test_a_revoked_token_ends_its_session(page: Dashboard, rest: MadeUp) -> None:
    """REST's 401 is passed on, and the page is not shown again."""
    browser = page.browser("v-token")
    rest.make = lambda _request, _body: (401, {"Content-Type": "application/problem+json"}, b"{}")

    assert browser.get("/api/v1/devices").status_code == 401

    assert browser.get("/").status_code == 303


def test_another_site_cannot_log_in_or_act_in_someones_name(page: Dashboard, rest: MadeUp) -> None:
    """What changes something needs our header, and what a browser says of where it comes from must be us."""
    browser = page.browser("o-token")
    asked = len(rest.asked)
    own = {"X-CSRF-Token": browser.csrf}
    foreign = ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"})
    elsewhere = [{}, {"X-CSRF-Token": "guess"}, *(own | headers for headers in foreign)]

    for headers in elsewhere:
        assert browser.post("/api/v1/devices/aabbccddeeff/commands", headers=headers).status_code == 403, headers
    for headers in elsewhere[2:]:
        assert browser.post("/login", data={"token": "v-token"}, headers=headers).status_code == 403, headers
    assert len(rest.asked) == asked

    assert browser.post("/api/v1/devices/aabbccddeeff/commands", headers=own | {"Origin": page.url}).ok


def test_failed_logins_are_counted_logged_and_slowed_down(page: Dashboard, caplog: pytest.LogCaptureFixture) -> None:
    """After ten in a minute even the right token waits; the log names address and count, and nothing that was typed."""
    browser = page.browser()
    for _ in range(10):
        assert browser.post("/login", data={"token": "s3cr3t"}).status_code == 403
    refused = browser.post("/login", data={"token": "v-token"})

    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "refused a log-in from 127.0.0.1; 10 since the start" in caplog.text
    assert "s3cr3t" not in caplog.text + refused.text


def test_while_rest_is_away_nobody_can_log_in_and_the_form_says_why(page: Dashboard, rest: MadeUp) -> None:
    """It is no failed log-in."""
    rest.stop()
    answer = page.browser().post("/login", data={"token": "v-token"})

    assert answer.status_code == 502
    assert "REST at http://127.0.0.1:" in answer.text
    assert "Try again" in answer.text


def test_a_long_form_is_refused(page: Dashboard) -> None:
    """Nobody fills the memory before the log-in."""
    assert page.browser().post("/login", data={"token": "x" * 5000}).status_code == 413
