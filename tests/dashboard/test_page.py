"""The page in a real browser: log-in, overview and its honest states, over the real server."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from brokers import DEVICE as CONNECTED
from pages import World, device_online, resize, shows, text, use_theme
from patience import REPLY_S
from records import DEVICE, reading
from rooms import VIEWER
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from services import wait_until

from broker import topics
from broker.messages import encode
from common.notice import NOTICE
from server.rest import palette

PILL = ".pill"
DARK = "return getComputedStyle(document.documentElement).colorScheme"


def card(device: str) -> str:
    """Return the selector of a device's card."""
    return f'a.card[href="#/device/{topics.mac_address(device)}"]'


def test_without_a_token_nothing_is_shown(world: World, browser: webdriver.Chrome) -> None:
    """A stranger gets the form; a wrong token is refused; the right one opens what the address asked for."""
    world.announce()
    browser.get(f"{world.url}/livez")
    browser.delete_all_cookies()  # of this host, whatever its port
    browser.get(f"{world.url}/#/settings")
    shows(browser, "h1", "moodwire")
    assert "Kitchen" not in browser.page_source

    browser.find_element(By.ID, "token").send_keys("wrong", Keys.ENTER)
    shows(browser, "[role=alert]", "neither a token")
    browser.find_element(By.ID, "token").send_keys(VIEWER, Keys.ENTER)
    shows(browser, ".role", "viewer")
    (cookie,) = browser.get_cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert VIEWER not in browser.page_source
    assert browser.execute_script("return document.cookie + JSON.stringify(localStorage)").count(VIEWER) == 0

    browser.find_element(By.CSS_SELECTOR, ".settings section:last-child button").click()
    shows(browser, "h1", "moodwire")
    assert browser.get_cookies() == []


def test_before_the_first_reading_the_page_says_so(page: webdriver.Chrome) -> None:
    """An empty system is explained, not blank, and says what to do; the notice is there."""
    shows(page, ".blank", "No device has been heard yet")
    shows(page, ".blank", "moodwire device run")
    shows(page, PILL, "live")
    assert text(page, ".notice").split() == NOTICE.split()


def test_what_a_device_publishes_appears_until_it_is_gone(world: World, page: webdriver.Chrome) -> None:
    """A status over MQTT makes a card, a reading its emotion and its strip; after the last will it is offline."""
    where = card(CONNECTED)
    with device_online(world, CONNECTED, name="Porch") as client:
        shows(page, where, "Porch")
        shows(page, where, "listening")
        shows(page, where, "quiet")
        scores = {"ANG": 0.05, "HAP": 0.91, "NEU": 0.04}
        told = encode(reading(0, int(time.time() * 1000), scores=scores))
        client.publish(topics.topic(CONNECTED, "reading"), told, qos=1)
        shows(page, where, "Happiness 91 %")
        said = f"return document.querySelector('{where} canvas').getAttribute('aria-label')"
        wait_until(lambda: page.execute_script(said).startswith("1 readings"), "the strip counts it")
        shows(page, ".count.listening", "1 listening")
        client.socket().close()
        shows(page, where, "offline")
    shows(page, ".count.offline", "1 offline")


def test_what_is_wrong_is_said_and_counted(world: World, page: webdriver.Chrome) -> None:
    """Faults are sentences on the card, and one click shows only those devices; uncertain readings show no emotion."""
    world.announce(name="Studio")
    world.announce(device="0123456789ac", name="Kitchen")
    world.complain(capture="zeros")
    world.speak(2, device="0123456789ac", state="uncertain")
    page.refresh()

    shows(page, card(DEVICE), "Microphone muted? Nothing but zeros")
    shows(page, card("0123456789ac"), "uncertain")
    shows(page, ".count.attention", "1")
    page.find_element(By.CSS_SELECTOR, ".count.attention").click()
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, "a.card")) == 1, "only the device with a fault is shown")
    wait_until(lambda: page.current_url.endswith("#/?show=attention"), "the filter is in the address")
    page.refresh()  # the link restores it
    wait_until(
        lambda: "Studio" in text(page, ".cards") and "Kitchen" not in text(page, ".cards"), "only it is shown again"
    )


def test_search_sort_and_groups_work_from_the_keyboard(world: World, page: webdriver.Chrome) -> None:
    """`/` searches by name and address, Escape ends it; groups stand under their common name."""
    for n, name in enumerate(("Lab 2", "Lab 10", "Attic")):
        world.announce(device=f"00000000000{n}", name=name)
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, "a.card")) == 3, "all are listed")
    page.find_element(By.TAG_NAME, "body").send_keys("/")
    page.switch_to.active_element.send_keys("LAB")
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, "a.card")) == 2, "two match")
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, "a.card")) == 3, "all are listed again")

    page.get(f"{world.url}/#/?sort=name&group=name")
    wait_until(lambda: text(page, ".group") == "Lab Others", "the groups are shown")
    wait_until(lambda: text(page, ".card .name") == "Lab 2 Lab 10 Attic", "numbers are sorted as numbers")
    page.get(f"{world.url}/#/?q=nothing-like-it")
    shows(page, ".blank", "No device matches")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_cards_stay_inside_their_list_and_the_page(
    world: World, page: webdriver.Chrome, width: int, theme: str
) -> None:
    """Nothing is cut off or scrolls sideways, whatever the name; every card can be seen."""
    names = ("Porch with a rather long name of its own", "x" * 64, "会議室", "Hörsaal")
    for n, name in enumerate(names):
        world.announce(device=f"00000000000{n}", name=name)
        world.speak(3, device=f"00000000000{n}")
    resize(page, width)
    use_theme(page, theme)
    page.refresh()
    wait_until(lambda: text(page, ".cards").count("heard") == len(names), "all are drawn")
    script = """
      const list = document.querySelector('.cards').getBoundingClientRect();
      const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.width > 200 && a.height > 80;
      const cards = [...document.querySelectorAll('a.card')].map(card => card.getBoundingClientRect());
      const parts = [...document.querySelectorAll('a.card > *')].every(
        part => part.getBoundingClientRect().right <= part.parentNode.getBoundingClientRect().right);
      return [cards.every(card => inside(card, list)), parts, list.right <= innerWidth,
              document.documentElement.scrollWidth <= innerWidth];
    """
    assert page.execute_script(script) == [True, True, True, True]


ASSIGNED = """
  const [sets, done] = arguments;
  const from = performance.getEntriesByType('resource').find(entry => entry.name.endsWith('/palette.js')).name;
  Promise.all([import(from), fetch('/api/v1/meta').then(answer => answer.json())]).then(([{assign}, meta]) =>
    done(sets.map(labels => assign(labels, meta.emotions, meta.other_colours))));
"""


def test_emotions_of_any_model_have_the_colours_of_its_plots(world: World, page: webdriver.Chrome) -> None:
    """The page gives each label the colour that matplotlib gives it, in both themes, and the overview shows it."""
    draw = random.Random(5)
    words = [*palette.EMOTIONS, *(f"E{number}" for number in range(12)), "AWE", "PAIN"]
    sets = [draw.sample(words, count) for count in (1, 2, 4, 8, 16, 20)]
    for labels, found in zip(sets, page.execute_async_script(ASSIGNED, sets), strict=True):
        for label in labels:
            colour = palette.emotion(label, labels).colour
            assert (found[label]["colour"], found[label]["colour_dark"]) == colour, (label, labels)

    labels = ["AWE", "NEU", "PAIN"]
    world.announce(labels=tuple(labels))
    world.speak(2, AWE=0.9, NEU=0.05, PAIN=0.05)
    shows(page, card(DEVICE), "AWE 90 %")
    for theme in ("light", "dark"):
        use_theme(page, theme)
        colour = getattr(palette.emotion("AWE", labels).colour, theme)
        dot = f"return getComputedStyle(document.querySelector('{card(DEVICE)} .now .swatch')).backgroundColor"
        rgb = ", ".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))
        wait_until(lambda dot=dot, rgb=rgb: page.execute_script(dot) == f"rgb({rgb})", f"it is {colour} in {theme}")


CONTRAST = """
  const parse = colour => {
    const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(c => linear(c / 255)).reduce(
    (sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element);
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest('noscript, .skip')) continue;
    const [a, b] = [light(parse(style.color)), light(ground(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), text, style.color]);
  }
  return found;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["", "settings"])
def test_every_text_can_be_read_in_both_themes(world: World, page: webdriver.Chrome, theme: str, view: str) -> None:
    """The computed contrast of each text with its ground is at least 4.5 (WCAG 2.2, 1.4.3)."""
    world.announce()
    world.announce(device="0123456789ac", name="Paused", state="paused")
    world.announce(device="0123456789ad", name="Away", state="offline")
    world.complain(outbox="full")
    world.speak(3)
    use_theme(page, theme)
    page.get(f"{world.url}/#/{view}")
    page.refresh()
    shows(page, PILL, "live")
    shows(page, "main", "Who may log in here" if view else "Disk full")
    wait_until(lambda: not page.find_elements(By.CSS_SELECTOR, ".skeleton"), "all is drawn")
    found = page.execute_script(CONTRAST)

    assert len(found) > 15
    assert [text for text in found if text[0] < 4.5] == []


@pytest.mark.slow
def test_no_click_is_lost_under_updates(world: World, page: webdriver.Chrome) -> None:
    """200 clicks on cards all reach their card while readings, states and lists come in; each press lasts a while."""
    devices = [f"0000000000{n:02x}" for n in range(40)]
    for n, device in enumerate(devices):
        world.announce(device=device, name=f"Room {n}")
    wait_until(lambda: len(page.find_elements(By.CSS_SELECTOR, "a.card")) == 40, "all are listed")
    page.execute_script("""
      window.hits = [];
      addEventListener('click', event => {
        event.preventDefault();
        window.hits.push(event.target.closest('a.card')?.dataset.mac ?? '');
      }, true);
    """)
    where = """
      const card = document.querySelectorAll('a.card')[arguments[0]];
      card.scrollIntoView({block: 'nearest'});
      const box = card.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2, card.dataset.mac];
    """
    pressed = []
    with _busy(world, devices):
        for n in range(200):
            x, y, mac = page.execute_script(where, n * 7 % 40)
            mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
            page.execute_cdp_cmd("Input.dispatchMouseEvent", mouse | {"type": "mouseMoved"})
            page.execute_cdp_cmd("Input.dispatchMouseEvent", mouse | {"type": "mousePressed"})
            time.sleep(0.02)  # as a finger does; what happens meanwhile must not matter
            page.execute_cdp_cmd("Input.dispatchMouseEvent", mouse | {"type": "mouseReleased"})
            pressed.append(mac)
    assert page.execute_script("return window.hits") == pressed


@contextmanager
def _busy(world: World, devices: list[str]) -> Iterator[None]:
    """Let all devices speak and some change their state as fast as the store takes it."""
    stop = threading.Event()

    def run() -> None:
        n = 0
        while not stop.wait(0.02):
            n += 1
            world.speak(1, device=devices[n % 40])
            if n % 10 == 0:
                world.announce(
                    device=devices[n % 40], name=f"Room {n % 40}", state=("online", "paused")[n // 10 % 2], connection=n
                )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
def test_the_header_says_how_far_the_page_can_be_trusted(world: World, page: webdriver.Chrome) -> None:
    """Each process that is frozen or stopped shows, and its return as well; what may be old is dimmed."""
    world.announce()
    shows(page, card(DEVICE), "listening")
    shows(page, PILL, "live")
    dimmed = "return getComputedStyle(document.querySelector('.live-data')).opacity"
    wait_until(lambda: page.execute_script(dimmed) == "1", "nothing is dimmed")

    with world.frozen(world.server):
        shows(page, PILL, "REST away")
        wait_until(lambda: float(page.execute_script(dimmed)) < 0.7, "what is shown is dimmed")
    shows(page, PILL, "live")
    with world.frozen(world.dashboard):
        shows(page, PILL, "s behind")
    shows(page, PILL, "live")

    world.ingest.stop()
    shows(page, PILL, "ingest stopped")
    world.ingest.start()
    shows(page, PILL, "live")

    world.live.kill()
    shows(page, PILL, "no live events")
    world.speak(1, ANG=0.02, HAP=0.96, NEU=0.02)
    shows(page, card(DEVICE), "Happiness 96 %")  # asked for meanwhile
    world.live.start()
    shows(page, PILL, "live")
    world.speak(1, ANG=0.97, HAP=0.02, NEU=0.01)
    shows(page, card(DEVICE), "Anger 97 %")


@pytest.mark.slow
def test_live_events_that_hang_are_behind(world: World, page: webdriver.Chrome) -> None:
    """A live process that sends nothing, not even its heartbeat, does not look live."""
    shows(page, PILL, "live")
    with world.frozen(world.live):
        shows(page, PILL, "s behind")
    shows(page, PILL, "live")


def test_a_session_that_ends_elsewhere_asks_to_log_in_again(world: World, page: webdriver.Chrome) -> None:
    """The header links to the log-in, which leads back."""
    shows(page, PILL, "live")
    cookies = {cookie["name"]: cookie["value"] for cookie in page.get_cookies()}
    csrf = requests.get(f"{world.url}/session", cookies=cookies, timeout=REPLY_S).json()["csrf"]
    requests.post(f"{world.url}/logout", cookies=cookies, headers={"X-CSRF-Token": csrf}, timeout=REPLY_S)

    shows(page, PILL, "log in again")
    page.find_element(By.CSS_SELECTOR, PILL).click()
    shows(page, "label", "Token or key")


def test_a_page_that_is_loaded_while_rest_is_away_says_so_and_recovers(world: World, page: webdriver.Chrome) -> None:
    """There is a sentence instead of devices, and then the devices, without a reload."""
    world.announce()
    world.server.stop()
    try:
        page.refresh()
        shows(page, "main", "cannot be reached")
    finally:
        world.server.start()
    shows(page, card(DEVICE), "Kitchen")


def test_settings_are_kept(world: World, page: webdriver.Chrome) -> None:
    """Theme, language and zone hold after a reload; the wall shows neither tabs nor notice."""
    world.announce()
    page.get(f"{world.url}/#/settings")
    shows(page, "h1", "Settings")
    page.find_elements(By.CSS_SELECTOR, ".segments button")[2].click()
    wait_until(lambda: page.execute_script(DARK) == "dark", "it is dark")
    page.find_element(By.CSS_SELECTOR, "select option[value=de]").click()
    shows(page, "h1", "Einstellungen")
    page.get(f"{world.url}/?kiosk")
    shows(page, card(DEVICE), "hört zu")
    hidden = "return ['.tabs', '.notice'].every(css => !document.querySelector(css).checkVisibility())"
    wait_until(lambda: page.execute_script(hidden), "the wall has neither tabs nor notice")
    assert page.execute_script("return document.documentElement.lang") == "de"
    assert page.execute_script(DARK) == "dark"
