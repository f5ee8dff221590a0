"""The device, compare, events and model views in a real browser."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from pages import keep_picture
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from services import wait_until
from watched import HOUR_MS, MAC, OTHER, OTHER_MAC, Page, Watched, watched

RANGES = {"5m": 300, "1h": 3600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
KITCHEN = f"#/device/{MAC}"
BACK_MS = 1_792_890_000_000
"""2026-10-25T01:00:00Z, when clocks in Rome go back from 3:00 to 2:00."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run everything once, with two devices and their past."""
    with watched(tmp_path_factory.mktemp("watched")) as system:
        system.remember()
        yield system


@pytest.fixture
def page(system: Watched, browser: webdriver.Chrome) -> Iterator[Page]:
    """Log in, and at the end find that the browser had nothing to complain of."""
    page = Page(browser, system.page)
    page.resize(1440, 900)
    page.log_in()
    yield page
    complaints = page.complaints()
    page.run("localStorage.clear()")
    browser.get("about:blank")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert complaints == []


def test_each_range_draws_its_range(page: Page) -> None:
    """From five minutes to thirty days the axis spans what was chosen, and the sums are those of the range."""
    page.open(KITCHEN)
    page.reads("h1", "Kitchen")
    for name, length_s in [*RANGES.items(), ("24h", RANGES["24h"])]:
        page.click(f".ranges [data-range='{name}']")
        wait_until(lambda: page.attribute(".ranges [aria-pressed=true]", "data-range") in RANGES, "a range is chosen")
        wait_until(
            lambda length_s=length_s: abs(page.axis()[1] - page.axis()[0] - 1000 * length_s) < 20 * length_s,
            f"the axis spans {name}",
        )
        wait_until(lambda name=name: f"range={name}" in page.browser.current_url, f"{name} is in the address")
    page.reads(".winners-panel", "720 readings")
    page.reads(".winners tbody", "Anger")
    page.reads(".timeline figcaption", "Anger 70 %, Happiness 20 %, Neutral 10 %")
    page.reads(".week-panel", "Mon")
    page.reads(".signal-panel", "20 dB")
    page.reads(".events-panel", "online")
    page.reads(".completeness", "% of what was expected was heard")


def test_why_a_range_is_empty_is_said_with_what_to_do(page: Page) -> None:
    """A silent range and a device that is offline explain themselves, and lead to what was last heard."""
    page.open(f"{KITCHEN}?range=5m")
    page.reads(".chart-blank", "Listening, and nobody has spoken")
    page.open(f"#/device/{OTHER_MAC}?range=5m")
    page.reads(".chart-blank", "Offline since")
    page.click(".chart-blank a")
    page.reads(".timeline figcaption", "Anger 70 %")
    page.reads(".winners-panel", "readings")


def test_a_zoom_asks_for_finer_steps_and_the_link_restores_it(page: Page) -> None:
    """Dragging chooses a part, whose steps are shorter; the address shows the same elsewhere, and back leads back."""
    page.open(f"{KITCHEN}?range=24h")
    page.reads(".timeline figcaption", "720 readings")
    page.reads(".heard h2 small", "5 min")
    whole = page.axis()
    page.hover(0.9, drag_to=0.95)
    wait_until(lambda: page.axis()[1] - page.axis()[0] < 2 * HOUR_MS, "a part is shown")
    page.reads(".heard h2 small", "s")
    page.click("[data-mode=lines]")
    wait_until(lambda: "view=lines" in page.browser.current_url, "the mode is in the address")
    part, address = page.axis(), page.browser.current_url
    assert whole[0] < part[0] < part[1] < whole[1]

    page.browser.get("about:blank")
    page.browser.get(address)

    wait_until(lambda: page.axis() == part, "the link restores the range")
    wait_until(lambda: page.attribute("[data-mode=lines]", "aria-pressed") == "true", "the link restores the mode")
    page.browser.back()
    page.browser.back()


def test_any_time_can_be_reached(page: Page) -> None:
    """By arrows, by standing still and going on, and by a start and an end in the viewer's zone."""
    page.run("localStorage.setItem('moodwire.zone', 'Europe/Rome')")
    page.open(f"{KITCHEN}?range=1h")
    page.reads(".week-panel", "Europe/Rome")
    start = wait_until(lambda: page.axis()[0], "the axis is there")
    page.click("[aria-label='Earlier']")
    wait_until(lambda: abs(page.axis()[1] - start) < HOUR_MS / 10, "it is an hour earlier")
    assert abs(page.axis()[1] - page.axis()[0] - HOUR_MS) < 10
    page.click("[aria-label='Later']")
    wait_until(lambda: abs(page.axis()[0] - start) < HOUR_MS / 10, "it is an hour later")
    page.click(".live-toggle")
    wait_until(lambda: "range=1h" in page.browser.current_url, "it goes on with the present")
    page.click(".live-toggle")
    wait_until(lambda: "start=" in page.browser.current_url, "it stands still")

    page.click(".ranges .segments button:last-child")
    fill = (
        "const fields = document.querySelectorAll('dialog input');"
        "[fields[0].value, fields[1].value] = arguments; document.querySelector('dialog .primary').click();"
    )
    wait_until(lambda: page.run("return document.querySelectorAll('dialog input').length == 2"), "it asks for both")
    page.run(fill, "2026-10-24T12:00", "2026-10-24T11:00")
    page.reads("dialog [role=alert]", "The start is not before the end")
    page.run(fill, "2026-10-24T12:00", "2026-10-25T12:00")
    day = [int(datetime.fromisoformat(f"2026-10-{text}+00:00").timestamp() * 1000) for text in ("24T10:00", "25T11:00")]
    wait_until(lambda: list(page.axis()) == day, "the day with 25 hours is shown")


def test_the_night_when_clocks_go_back_is_drawn_in_order(system: Watched, page: Page) -> None:
    """A reading of each of the two half past twos has its own place and its own time, an hour apart."""
    first, second = BACK_MS - HOUR_MS // 2, BACK_MS + HOUR_MS // 2
    system.tell(OTHER, first, second)
    page.run("localStorage.setItem('moodwire.zone', 'Europe/Rome')")
    page.open(f"#/device/{OTHER_MAC}?start=2026-10-24T23:00:00Z&end=2026-10-25T03:00:00Z")
    page.reads(".timeline figcaption", "2 readings")
    page.browser.find_element(By.CSS_SELECTOR, ".timeline details summary").send_keys(Keys.ENTER)
    rows = "return [...document.querySelectorAll('.timeline tbody tr')].map(row => row.firstElementChild.innerText)"
    said = wait_until(lambda: len(found := page.run(rows)) == 2 and found, "the table has its rows")
    assert len(set(said)) == 2
    assert all("02:30" in each for each in said)
    assert page.run("return document.activeElement.tagName") == "SUMMARY", "the table is opened below, focus stays"
    plot = page.browser.find_element(By.CSS_SELECTOR, ".plot")
    found = []
    for key in (Keys.END, Keys.ARROW_LEFT):
        plot.send_keys(key)
        wait_until(lambda: page.attribute(".plot", "aria-valuenow") not in {"", *(at for at, _ in found)}, "it moves")
        found.append((page.attribute(".plot", "aria-valuenow"), page.attribute(".plot", "aria-valuetext")))
    assert found[0][1] != found[1][1]


def test_what_is_shown_can_be_taken_along(page: Page) -> None:
    """CSV has the readings of the range, PNG is a picture of it, and the copied link is its address."""
    page.browser.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.open(f"{KITCHEN}?range=24h")
    page.reads(".timeline figcaption", "readings")
    fetched = """
      const [name, done] = arguments;
      fetch(document.querySelector(`[data-link=${name}]`).href).then(async answer => done(
        [answer.status, answer.headers.get('content-type'),
         name === 'csv' ? (await answer.text()).split('\\n') : (await createImageBitmap(await answer.blob())).width]));
    """
    status, kind, lines = page.browser.execute_async_script(fetched, "csv")
    assert (status, kind.split(";")[0], lines[0].startswith("time,")) == (200, "text/csv", True)
    assert len(lines) > 2
    assert page.browser.execute_async_script(fetched, "png") == [200, "image/png", 1600]
    page.click(".links button")
    page.reads(".said-list", "copied")
    copied = page.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == page.browser.current_url


@pytest.mark.slow
def test_a_zoom_and_a_hover_live_thirty_seconds_of_updates(system: Watched, page: Page) -> None:
    """Two readings a second come; the chosen part, the crosshair and its box stay where they are."""
    page.open(f"{KITCHEN}?range=24h")
    page.reads(".timeline figcaption", "readings")
    whole = wait_until(lambda: page.text(".heard h2 small"), "steps are drawn")
    page.hover(0.88, drag_to=0.95)
    wait_until(lambda: 0 < page.axis()[1] - page.axis()[0] < 3 * HOUR_MS, "a part is shown")
    wait_until(lambda: page.text(".heard h2 small") != whole, "its finer steps are drawn")
    page.hover(0.5)
    wait_until(lambda: page.text(".readout"), "the box is shown")
    before = page.axis(), page.browser.current_url, page.text(".readout")
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        system.speak()
        time.sleep(0.5)  # as a device does that hears two windows a second
        assert (page.axis(), page.browser.current_url, page.text(".readout")) == before
    page.open(f"{KITCHEN}?range=5m")
    page.reads(".timeline figcaption", "readings")
    page.hover(0.97)
    wait_until(lambda: page.text(".readout"), "the box is shown")
    first, _ = page.axis()

    def moved() -> bool:
        system.speak()
        assert page.text(".readout"), "a live chart moves on below the crosshair"
        return page.axis()[0] > first + 3_000

    wait_until(moved, "the axis moves on")


def test_a_reading_that_is_stored_appears_as_a_point(system: Watched, page: Page) -> None:
    """It is drawn without a reload, and keyboard and screen reader find it."""
    page.open(f"{KITCHEN}?range=5m")
    page.reads("h1", "Kitchen")
    wait_until(lambda: page.attribute(".status .pill", "class").endswith("live"), "live events have come")

    system.speak(scores={"ANG": 0.05, "HAP": 0.9, "NEU": 0.05})

    page.reads(".timeline figcaption", "Happiness")
    plot = page.browser.find_element(By.CSS_SELECTOR, ".plot")

    def found() -> bool:
        for key in [Keys.END, *[Keys.ARROW_LEFT] * 6]:
            before = page.attribute(".plot", "aria-valuenow")
            plot.send_keys(key)
            wait_until(lambda before=before: page.attribute(".plot", "aria-valuenow") != before, "the crosshair moves")
            if "Happiness" in page.attribute(".plot", "aria-valuetext"):
                return True
        return False

    wait_until(found, "the crosshair finds it")
    assert page.text(".readout")


def test_compared_devices_share_axis_and_crosshair(page: Page) -> None:
    """Pointing at one chart shows the same time on all; a period is compared with the one before."""
    page.open(f"#/compare?devices={MAC},{OTHER_MAC}&range=24h")
    page.reads(".compare-table", "Hall")
    page.reads(".compare-table", "720")
    page.hover(0.9, place=0)
    boxes = "return Array.from(document.querySelectorAll('.readout:not([hidden]) strong'), each => each.innerText)"
    wait_until(lambda: len(found := page.run(boxes)) == 2 and len(set(found)) == 1, "both have a crosshair at one time")
    page.open(f"#/compare?devices={MAC}&range=1h&previous=1")
    page.reads(".compared", "The one before")


def test_events_lead_to_their_moment(page: Page) -> None:
    """Events of all devices are there with their device; each leads to its device and time."""
    page.open("#/events")
    page.reads(".events", "Hall")
    page.reads(".alerts-panel", "No rules are evaluated")
    (newest,) = page.browser.find_elements(By.CSS_SELECTOR, "li[data-kind=offline] a")
    at = datetime.fromisoformat(newest.find_element(By.TAG_NAME, "time").get_attribute("datetime") or "")
    newest.click()
    page.reads("h1", "Hall")
    wait_until(lambda: page.axis()[0] < 1000 * at.timestamp() < page.axis()[1], "the axis spans the moment")


def test_a_model_that_nobody_measured_is_named(page: Page) -> None:
    """The shipped models have figures and intervals; a device's own model has none, and that is said."""
    page.open("#/model")
    page.reads(".strangers", "my-own-1")
    page.reads(".strangers", "Hall")
    page.reads(".model", "83.6 %")
    page.reads(".view-model", "What the numbers do not mean")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (820, 1180), (1440, 900)])
def test_every_view_fits_its_screen(page: Page, theme: str, size: tuple[int, int]) -> None:
    """On phone, tablet and laptop, light and dark, nothing reaches beyond the screen, and charts are drawn."""
    page.run("localStorage.setItem('moodwire.theme', arguments[0])", theme)
    page.resize(*size)
    for name, hash_, words in [
        ("overview", "#/", "Kitchen"),
        ("device", f"{KITCHEN}?range=24h", "What was heard"),
        ("compare", f"#/compare?devices={MAC},{OTHER_MAC}&range=24h", "720"),
        ("events", "#/events", "What happened"),
        ("model", "#/model", "ang-hap-neu-9"),
        ("settings", "#/settings", "Time zone"),
        ("wall", "?kiosk#/", "Kitchen"),
        ("login", "login", "Token or key"),
    ]:
        if name == "login":
            page.browser.delete_all_cookies()
        page.open(hash_)
        page.reads("main", words)
        drawn = "return !document.querySelector('main .skeleton') && !document.querySelector('.pill:not(.live)')"
        wait_until(lambda drawn=drawn: page.run(drawn), f"{name} is drawn")
        wait_until(lambda: page.run("return document.documentElement.scrollWidth <= innerWidth"), f"{name} fits")
        keep_picture(page.browser, f"{name}-{size[0]}-{theme}")
    page.log_in()
    page.open(f"{KITCHEN}?range=24h")
    page.reads(".timeline figcaption", "readings")
    colours = (
        "const canvas = document.querySelector('.plot .base');"
        "const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();"
        "for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255)"
        "  seen.add(pixels[i] + ',' + pixels[i + 1] + ',' + pixels[i + 2]); return [...seen]"
    )
    anger = {"light": "193,41,0", "dark": "245,79,42"}[theme]
    wait_until(lambda: anger in page.run(colours), "anger is drawn in the theme's colour")
