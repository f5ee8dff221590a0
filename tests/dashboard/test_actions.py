"""What an operator does on the page reaches the device, and the page says how it ended."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from brokers import DEVICE
from pages import KEY, World, device_online, shows, use_theme
from rooms import VIEWER
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from services import wait_until

from broker import topics
from broker.messages import BaselineHealth, CommandResponse, SetCommand, decode, encode

MAC, OTHER = topics.mac_address(DEVICE), "01:23:45:67:89:ac"
AXE = Path(os.environ.get("AXE", Path(sys.prefix) / "axe.min.js"))
"""Deque's axe-core, which `make test` fetches."""


@contextmanager
def obeying(world: World, **answer: Any) -> Iterator[list[tuple[str, bytes]]]:
    """Let a device be online that answers each command; yield what it was told."""
    told: list[tuple[str, bytes]] = []
    with device_online(world, DEVICE, name="Porch") as client:

        def obey(_client: Any, _data: Any, message: Any) -> None:
            name = message.topic.rpartition("/")[2]
            told.append((name, bytes(message.payload)))
            transaction = decode(bytes(message.payload), SetCommand).transaction
            response = CommandResponse(transaction=transaction, **({"status": "ok"} | answer))
            client.publish(topics.command_response(DEVICE, name), encode(response), qos=1)

        client.on_message = obey
        client.subscribe([(topics.command(DEVICE, name), 1) for name in topics.COMMANDS])
        yield told


def press(page: webdriver.Chrome, action: str) -> None:
    """Press one of the buttons of the device."""
    wait_until(lambda: page.find_elements(By.CSS_SELECTOR, f"[data-action={action}]:enabled"), f"{action} is offered")
    page.find_element(By.CSS_SELECTOR, f"[data-action={action}]").click()


def focused(page: webdriver.Chrome) -> WebElement:
    """Return the field of the dialog, once it is open and has the focus."""
    script = "const field = document.activeElement; return field.closest('dialog') && field"
    field: WebElement = wait_until(lambda: page.execute_script(script), "the dialog has the focus")
    return field


def test_commands_are_pending_and_then_done(world: World, page: webdriver.Chrome) -> None:
    """Pause, resume and rename reach the device; the page says that it is done, or shows the answer of the device."""
    with obeying(world) as told:
        page.get(f"{world.url}/#/device/{MAC}")
        press(page, "pause")
        shows(page, ".outcome", "It is paused")
        world.announce(device=DEVICE, name="Porch", state="paused")
        press(page, "resume")
        shows(page, ".outcome", "It listens again")
        world.announce(device=DEVICE, name="Porch")
        press(page, "rename")
        field = focused(page)
        field.clear()
        field.send_keys("Loft", Keys.ENTER)
        shows(page, ".outcome", "Done")
    assert [name for name, _ in told] == ["pause", "resume", "set"]
    assert decode(told[2][1], SetCommand).name == "Loft"

    with obeying(world, status="error", error="there is no model before this one"):
        press(page, "rollback")
        focused(page)
        page.find_element(By.CSS_SELECTOR, "dialog .primary").click()
        shows(page, ".outcome.bad", "there is no model before this one")


def test_the_baseline_is_told_and_forgotten(world: World, page: webdriver.Chrome) -> None:
    """The card and the page say how far it is learned, or since when; an operator lets the device learn anew."""
    steps = (
        (BaselineHealth(strength=0.0, heard=0, wanted=200), "no baseline yet", "No baseline yet: nobody has spoken"),
        (
            BaselineHealth(strength=0.65, heard=37, wanted=200),
            "usual here, 18 %",
            "37 of 200 windows of speech heard, 65 %",
        ),
        (BaselineHealth(strength=0.91, heard=200, wanted=200), "heard", "Baseline learned"),
        (
            BaselineHealth(strength=0.91, heard=200, wanted=200, learned_at=int(time.time() * 1000)),
            "heard",
            "learned since",
        ),
    )
    world.announce(device=DEVICE, name="Porch")  # ingest has its status from the test before, and would pass it over
    with obeying(world) as told:
        shows(page, "a.card", "listening")
        for baseline, on_the_card, on_its_page in steps:
            world.complain(device=DEVICE, baseline=baseline)
            page.get("about:blank")
            page.get(world.url)
            shows(page, "a.card .line", on_the_card)
            page.get(f"{world.url}/#/device/{MAC}")
            shows(page, ".device-head .baseline", on_its_page)
        press(page, "forget")
        shows(page, "dialog", "Until it has heard some minutes of speech")
        page.find_element(By.CSS_SELECTOR, "dialog .primary").click()
        shows(page, ".outcome", "Done")
    assert decode(told[0][1], SetCommand).forget_baseline
    world.complain(device=DEVICE, baseline=None)
    page.refresh()
    shows(page, ".device-head .line", "heard")
    offered = "return document.querySelector('[data-action=forget]')?.checkVisibility()"
    wait_until(lambda: page.execute_script(offered) is False, "there is nothing to forget")


def test_a_command_waits_for_a_device_that_is_offline(world: World, page: webdriver.Chrome) -> None:
    """The page says until when; once the device is back it has it, and the page says that it is done."""
    world.announce(device=DEVICE, name="Porch", state="offline")
    page.get(f"{world.url}/#/device/{MAC}")
    press(page, "gate")
    field = focused(page)
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("-30", Keys.ENTER)
    shows(page, ".outcome", "The device is offline: it gets this when it is back")
    with obeying(world) as told:
        shows(page, ".outcome.good", "Done")
    assert decode(told[0][1], SetCommand).gate_dbfs == -30


def test_erasing_asks_for_the_name_and_shows_the_receipt(world: World, page: webdriver.Chrome) -> None:
    """Without the name nothing is erased; with it, all is, and the list no longer has the device."""
    world.announce(device=DEVICE, name="Porch")
    world.speak(5, device=DEVICE)
    page.get(f"{world.url}/#/device/{MAC}")
    press(page, "erase")
    go = page.find_element(By.CSS_SELECTOR, "dialog .danger")
    assert not go.is_enabled()
    field = focused(page)
    field.send_keys("porch")
    wait_until(lambda: field.get_property("value") == "porch", "the wrong name is there")
    assert not go.is_enabled()
    field.send_keys(Keys.ESCAPE)
    wait_until(lambda: not page.find_elements(By.TAG_NAME, "dialog"), "the question is gone")
    assert world.rest.readings(MAC) == 5

    press(page, "erase")
    focused(page).send_keys("Porch")
    wait_until(page.find_element(By.CSS_SELECTOR, "dialog .danger").is_enabled, "the right name is there")
    page.find_element(By.CSS_SELECTOR, "dialog .danger").click()
    shows(page, ".receipt", "Records erased 5")
    page.find_element(By.CSS_SELECTOR, "dialog .primary").click()
    shows(page, ".blank", "No device has been heard yet")
    assert world.rest.readings(MAC) == 0


def test_a_viewer_is_offered_no_action_and_may_do_none(world: World, page: webdriver.Chrome) -> None:
    """Not even with the page's own header."""
    world.announce(device=DEVICE, name="Porch")
    page.delete_all_cookies()
    page.get(f"{world.url}/login")
    page.find_element(By.ID, "token").send_keys(VIEWER, Keys.ENTER)
    wait_until(lambda: page.current_url == f"{world.url}/", "the viewer is logged in")
    page.get(f"{world.url}/#/device/{MAC}")
    shows(page, "h1", "Porch")
    shows(page, ".pill", "live")
    assert page.find_elements(By.CSS_SELECTOR, "[data-action]") == []
    script = f"""
      const done = arguments[0];
      fetch('/session').then(answer => answer.json()).then(({{csrf}}) => fetch('/api/v1/devices/{MAC}', {{
        method: 'DELETE', headers: {{'X-CSRF-Token': csrf}}}})).then(answer => done(answer.status));
    """
    assert page.execute_async_script(script) == 403
    page.get_log("browser")  # the browser tells of the 403


@pytest.mark.parametrize("view", ["login", "", "settings", "events", "device", "compare", "model"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_seriously_keeps_anyone_out(world: World, page: webdriver.Chrome, view: str, theme: str) -> None:
    """axe-core finds no serious or critical violation of WCAG 2.2 AA."""
    if not AXE.exists():
        pytest.skip(f"{AXE} is missing: run `make {AXE.name}`, which needs npm")
    use_theme(page, theme)
    world.announce(device=DEVICE, name="Porch")
    world.announce(device="0123456789ac", name="Away", state="offline")
    world.complain(device=DEVICE, capture="zeros")
    world.speak(30, device=DEVICE)
    if view == "login":
        page.delete_all_cookies()
    places = {"login": "/login", "device": f"/#/device/{MAC}", "compare": f"/#/compare?devices={MAC},{OTHER}"}
    page.get("about:blank")
    page.get(world.url + places.get(view, f"/#/{view}"))
    words = {"login": "Token", "settings": "Theme", "events": "What happened", "model": "ang-hap-neu-9"}
    shows(page, "main", words.get(view, "Porch"))
    if view != "login":
        shows(page, ".pill", "live")
    page.execute_script(AXE.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.execute_async_script("axe.run({runOnly: arguments[0]}).then(arguments[arguments.length - 1])", tags)
    worst = [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
    assert worst == []


def test_the_page_can_be_installed(world: World, page: webdriver.Chrome) -> None:
    """Chromium finds nothing that keeps it from being installed as an app."""
    page.get(world.url)
    shows(page, ".pill", "live")
    manifest = page.execute_cdp_cmd("Page.getAppManifest", {})
    assert (manifest["url"], manifest["errors"]) == (f"{world.url}/manifest.webmanifest", [])
    found = page.execute_cdp_cmd("Page.getInstallabilityErrors", {})["installabilityErrors"]
    assert [each["errorId"] for each in found if each["errorId"] != "in-incognito"] == []


def test_the_printed_link_opens_the_page(world: World, browser: webdriver.Chrome) -> None:
    """The key is not left in the address."""
    browser.delete_all_cookies()
    browser.get(f"{world.url}/login?key={KEY}")
    shows(browser, "h1", "Overview")
    assert KEY not in browser.current_url
    shows(browser, ".pill", "live")
