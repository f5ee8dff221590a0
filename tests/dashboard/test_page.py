"""The page in a real browser: login, devices, moving lines, and sentences where something is wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import KEY, World
from selenium import webdriver
from selenium.webdriver.common.by import By
from services import wait_until

from common.notice import NOTICE
from dashboard.page import RANGES


@pytest.fixture
def page(world: World, browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """Log in, and at the end find that the browser had nothing to complain of."""
    browser.delete_all_cookies()
    browser.get_log("browser")
    browser.get(f"{world.page}/login?key={KEY}")
    yield browser
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    browser.get("about:blank")
    assert severe == []


def text(page: webdriver.Chrome, css: str) -> str:
    """Return what a person reads at a place on the page; empty while it is not there."""
    # One script, because the page may draw itself anew between finding an element and reading it.
    script = "return Array.from(document.querySelectorAll(arguments[0]), element => element.innerText).join(' ')"
    shown: str = page.execute_script(script, css)
    return shown


def drawn(page: webdriver.Chrome, graph: str) -> dict[str, list[float | None]]:
    """Return the values of each trace that plotly has drawn, by its name; nothing while it draws anew."""
    script = (
        "const plot = document.querySelector(arguments[0] + ' .js-plotly-plot');"
        "return plot && plot._fullData ? plot._fullData.map(t => [t.name, Array.from(t.y || [])]) : []"
    )
    return dict(page.execute_script(script, f"#{graph}"))


def values(page: webdriver.Chrome, graph: str, trace: str) -> list[float]:
    """Return the values that one trace shows."""
    return [value for value in drawn(page, graph).get(trace, []) if value is not None]


def test_without_the_key_nothing_is_shown(world: World, browser: webdriver.Chrome) -> None:
    """A stranger gets the login form; a wrong key is refused; the right one opens the page."""
    world.announce()
    browser.delete_all_cookies()
    browser.get(world.page)
    assert "Kitchen" not in browser.page_source

    browser.find_element(By.ID, "key").send_keys("wrong")
    browser.find_element(By.TAG_NAME, "button").click()
    wait_until(lambda: "That is not the key" in text(browser, "[role=alert]"), "the wrong key is refused")

    browser.find_element(By.ID, "key").send_keys(KEY)
    browser.find_element(By.TAG_NAME, "button").click()
    wait_until(lambda: "Kitchen" in text(browser, ".devices"), "the device is listed")
    (cookie,) = browser.get_cookies()
    assert cookie["httpOnly"] is True
    assert cookie["sameSite"] == "Strict"


def test_before_the_first_reading_the_page_says_so(page: webdriver.Chrome) -> None:
    """An empty system is explained, not blank."""
    wait_until(lambda: "No device has been heard yet" in text(page, "#problem"), "the page explains")


def test_a_new_device_appears_and_its_lines_move(world: World, page: webdriver.Chrome) -> None:
    """What is stored is drawn within seconds, without a reload: lines, histogram and means."""
    world.announce()
    world.speak(30)
    wait_until(lambda: "Kitchen" in text(page, ".devices"), "the device is listed")
    wait_until(lambda: len(values(page, "timeline", "Anger")) >= 10, "its line is drawn")

    world.speak(1, ANG=0.05, HAP=0.9, NEU=0.05)

    wait_until(lambda: max(values(page, "timeline", "Happiness"), default=0) > 0.5, "the line moves")
    counts = {"Anger": 30, "Happiness": 1, "Neutral": 0}
    wait_until(
        lambda: {name: sum(values(page, "histogram", name)) for name in drawn(page, "histogram")} == counts,
        "the histogram counts it",
    )
    wait_until(lambda: "Happiness" in text(page, ".devices"), "the list shows it")
    wait_until(lambda: "31 readings in this range" in text(page, "#facts"), "the facts count it")
    wait_until(lambda: drawn(page, "means"), "the means are drawn")
    (means,) = drawn(page, "means").values()
    assert means == pytest.approx([0.7, 0.9, None, 0.7065], abs=1e-3)
    assert list(drawn(page, "timeline")) == ["Anger", "Happiness", "Neutral"]


def test_live_events_are_shown_and_the_page_does_without_them(
    world: World, page: webdriver.Chrome, tmp_path: Path
) -> None:
    """What is told is drawn, with one line in the log when telling begins and one when it ends; then the page polls."""
    world.announce()
    with world.live_events(tmp_path):
        world.speak(2)
        wait_until(lambda: "2 readings in this range" in text(page, "#facts"), "what is told is drawn")
        world.speak(1, ANG=0.05, HAP=0.9, NEU=0.05)
        wait_until(lambda: "3 readings in this range" in text(page, "#facts"), "what is told next is drawn")
        wait_until(lambda: "Happiness" in text(page, ".devices"), "the list shows it")
        before = world.dashboard.log
    wait_until(lambda: "no live events" in world.dashboard.log.removeprefix(before), "the log says that they are away")
    world.speak(1)
    wait_until(lambda: "4 readings in this range" in text(page, "#facts"), "what is stored is drawn nevertheless")
    assert world.dashboard.log.removeprefix(before).count("live events") == 1


def test_uncertain_and_offline_devices_are_told_apart(world: World, page: webdriver.Chrome) -> None:
    """An uncertain reading is shown as that, without an emotion; who is away is said with when it was last seen."""
    world.announce()
    world.speak(3, state="uncertain")
    wait_until(lambda: "uncertain" in text(page, ".devices .top"), "the list says that it is uncertain")
    wait_until(lambda: "Uncertain" in drawn(page, "timeline"), "the timeline shades it")

    world.announce(state="offline")

    wait_until(lambda: "offline · last seen just now" in text(page, ".devices"), "the list says when it was last seen")


def test_the_page_fits_a_phone(world: World, page: webdriver.Chrome) -> None:
    """At the width of a phone nothing has to be scrolled sideways but the list of devices."""
    world.announce(name="Porch with a rather long name of its own")
    world.speak(30)
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        page.refresh()
        wait_until(lambda: len(values(page, "timeline", "Anger")) >= 10, "the line is drawn")
        script = "return [document.documentElement.scrollWidth, window.innerWidth]"
        wait_until(lambda: page.execute_script(script) == [390, 390], "the page is as wide as the phone")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def axis_s(page: webdriver.Chrome, graph: str) -> float:
    """Return how many seconds the time axis of a graph spans; 0 while it is drawn anew."""
    script = (
        "const plot = document.querySelector(arguments[0] + ' .js-plotly-plot');"
        "if (!plot || !plot._fullLayout) return 0;"
        "const [first, last] = plot._fullLayout.xaxis.range.map(end => new Date(end).getTime());"
        "return (last - first) / 1000"
    )
    return float(page.execute_script(script, f"#{graph}"))


def test_each_range_button_draws_its_range(world: World, page: webdriver.Chrome) -> None:
    """From five minutes to seven days the time axis spans what was chosen, and the readings of it are counted."""
    world.announce()
    world.speak(3)
    for range_s in [*RANGES.values(), RANGES["5 minutes"]]:
        (choice,) = page.find_elements(By.CSS_SELECTOR, f".ranges input[value='{range_s}']")
        page.execute_script("arguments[0].click()", choice)
        near = pytest.approx(range_s, rel=0.02)
        wait_until(lambda near=near: axis_s(page, "timeline") == near, f"{range_s} s are drawn")
        wait_until(lambda: "3 readings in this range" in text(page, "#facts"), f"{range_s} s have their facts")


def test_a_chart_that_cannot_be_had_is_said(world: World, page: webdriver.Chrome) -> None:
    """When REST goes away, the page says so instead of showing the last chart as if it were of now."""
    world.announce()
    world.speak(3)
    wait_until(lambda: "3 readings in this range" in text(page, "#facts"), "the chart is drawn")

    world.stop_rest()
    page.execute_script("document.querySelectorAll('.ranges input')[1].click()")

    wait_until(lambda: "REST" in text(page, "#headline .problem"), "the headline says what is wrong")


def test_what_is_wrong_with_a_device_is_said(world: World, page: webdriver.Chrome) -> None:
    """A microphone that gives zeros, a full disk and refused records are sentences on the page, until they are gone."""
    world.announce()
    world.complain(capture="zeros", outbox="full", refused_rows=3)
    for sentence in ("nothing but zeros", "Its disk is full", "refuses 3 of its records"):
        wait_until(lambda sentence=sentence: sentence in text(page, "#headline"), f"the page says {sentence!r}")

    world.complain()

    wait_until(lambda: text(page, "#headline .problem") == "", "nothing is said when all is well")


def test_the_notice_is_always_on_the_page(page: webdriver.Chrome) -> None:
    """Viewers are told what this is and where it is forbidden."""
    wait_until(lambda: "as actors portray it" in text(page, "footer"), "the notice is shown")
    assert text(page, "footer").split() == NOTICE.split()


def test_nothing_is_loaded_from_elsewhere(world: World, page: webdriver.Chrome) -> None:
    """Every script and style comes from the dashboard itself."""
    wait_until(lambda: text(page, "footer"), "the page is there")

    loaded = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")

    assert loaded
    assert [name for name in loaded if not name.startswith(world.page)] == []
