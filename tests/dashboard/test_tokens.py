"""Operators make and revoke tokens on the page; what is revoked is logged out, and its live events end."""

import requests
from pages import World, keep_picture, shows, text
from patience import REPLY_S
from rooms import VIEWER
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from services import wait_until

SECRET = "return document.querySelector('.secret')?.value || ''"


def press(page: webdriver.Chrome, css: str) -> None:
    """Press a button once it is there."""
    wait_until(lambda: page.find_elements(By.CSS_SELECTOR, css), f"{css} is there")
    page.find_element(By.CSS_SELECTOR, css).click()


def log_in(world: World, token: str) -> requests.Session:
    """Return a browser that is logged in with a token."""
    browser = requests.Session()
    wait_until(
        lambda: browser.post(f"{world.url}/login", data={"token": token}, timeout=REPLY_S).url == f"{world.url}/",
        "the token is accepted",
    )
    return browser


def test_a_token_is_made_shown_once_and_revoked(world: World, page: webdriver.Chrome) -> None:
    """It logs in, is listed with whoever made it, and is nowhere on the page again; revoked, it ends its session."""
    page.get(f"{world.url}/#/settings")
    press(page, "[data-token=make]")
    wait_until(lambda: page.find_elements(By.CSS_SELECTOR, "dialog input"), "it asks for a name")
    go, field = (page.find_element(By.CSS_SELECTOR, f"dialog {css}") for css in (".primary", "input"))
    field.send_keys("Wall")
    wait_until(lambda: field.get_property("value") == "Wall", "a name that is not allowed is there")
    assert not go.is_enabled()
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("wall-2", Keys.ENTER)
    shows(page, "dialog h2", "The token wall-2")
    secret = wait_until(lambda: page.execute_script(SECRET), "the token is shown")
    assert secret.startswith("mw_viewer_")
    wait_until(lambda: "wall-2" in text(page, ".tokens"), "it is listed")
    keep_picture(page, "settings-token")
    page.find_element(By.CSS_SELECTOR, "dialog .primary").click()
    shows(page, "[data-name=wall-2]", "by operator_token")
    wait_until(lambda: secret not in page.page_source, "the token is shown no more")
    assert page.execute_script("return JSON.stringify(localStorage) + document.cookie").count(secret) == 0

    wall = log_in(world, secret)
    assert wall.get(f"{world.url}/session", timeout=REPLY_S).json()["role"] == "viewer"
    with wall.get(f"{world.url}/live", stream=True, timeout=REPLY_S) as stream:
        assert next(stream.iter_content(None))
        press(page, "[data-name=wall-2] button")
        press(page, "dialog .danger")
        shows(page, ".said-list", "wall-2 is accepted no more")
        wait_until(lambda: "wall-2" not in text(page, ".tokens"), "it is listed no more")
        api = f"{world.url}/api/v1/devices"
        wait_until(lambda: wall.get(api, timeout=REPLY_S).status_code == 401, "its session has ended", 30)
        for _ in stream.iter_content(None):  # ends by itself
            pass


def test_a_viewer_is_offered_no_tokens(world: World, page: webdriver.Chrome) -> None:
    """Neither the list nor a button; and REST refuses as well."""
    page.delete_all_cookies()
    page.get(f"{world.url}/login")
    page.find_element(By.ID, "token").send_keys(VIEWER, Keys.ENTER)
    wait_until(lambda: page.current_url == f"{world.url}/", "the viewer is logged in")
    page.get(f"{world.url}/#/settings")
    shows(page, ".role", "viewer")
    assert text(page, ".tokens-panel") == ""
    viewer = log_in(world, VIEWER)
    assert viewer.get(f"{world.url}/api/v1/tokens", timeout=REPLY_S).status_code == 403
