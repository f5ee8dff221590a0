"""Events and alerts of the whole fleet in a real browser, over the real server."""

from brokers import DEVICE as CONNECTED
from pages import World, device_online, shows
from records import DEVICE
from selenium import webdriver
from selenium.webdriver.common.by import By
from services import wait_until

from broker.topics import mac_address
from server.store.alert_states import AlertState, ShownRule

RULE = ShownRule("loud-anger", "ANG", 0.6, 0.4, "*", 10, 20, 60, "webhook")


def count(page: webdriver.Chrome, css: str) -> int:
    """Return how many of something the page shows."""
    return len(page.find_elements(By.CSS_SELECTOR, css))


def test_alerts_lead_to_their_moment(world: World, page: webdriver.Chrome) -> None:
    """A raised alert is there with its rule, its device and how sure it was, and leads to the chart of that time."""
    world.announce(name="Kitchen")
    world.speak(3)
    now = world.store.now()
    book = world.store.alert_states
    book.show_rules([RULE], 600)
    book.save(DEVICE, RULE.name, AlertState(raised=True, raised_at=now, changed_at=now, mean=0.72))
    try:
        page.get(f"{world.url}/#/events")
        shows(page, ".alerts-panel li.raised", "Kitchen")
        shows(page, ".alerts-panel li.raised", "Anger 72 %")
        shows(page, ".alerts-panel summary", "rule")
        page.find_element(By.CSS_SELECTOR, ".alerts-panel li.raised a").click()
        shows(page, "h1", "Kitchen")
        edges = "return ['min', 'max'].map(edge => +document.querySelector('.plot')?.getAttribute(`aria-value${edge}`))"

        def spans_it() -> bool:
            start, end = page.execute_script(edges)
            return start < now < end

        wait_until(spans_it, "the axis spans the moment")
    finally:
        book.drop({(DEVICE, RULE.name)})
        book.show_rules([], 1)


def test_events_are_filtered_and_stay_where_they_are(world: World, page: webdriver.Chrome) -> None:
    """By kind and by device, in the address; what is listed is not made anew when another event comes."""
    world.announce(name="Kitchen")
    world.announce(name="Kitchen", state="paused", connection=2)
    world.announce(device="0123456789ac", name="Hall")
    page.get(f"{world.url}/#/events")
    wait_until(lambda: count(page, ".events.wide li") >= 3, "all are listed")
    page.execute_script("window.kept = [...document.querySelectorAll('.events.wide li, .view-events option')]")
    with device_online(world, CONNECTED, name="Porch"):
        shows(page, ".events.wide", "Porch")
    assert page.execute_script("return window.kept.every(each => each.isConnected)")

    page.find_element(By.CSS_SELECTOR, "[data-kind=paused]").click()
    wait_until(lambda: count(page, ".events.wide li") == 1, "only the pause is shown")
    wait_until(lambda: "kind=paused" in page.current_url, "the filter is in the address")
    page.refresh()  # the link restores it
    shows(page, ".events.wide", "Kitchen")
    page.get(f"{world.url}/#/events?device={mac_address('0123456789ac')}")
    shows(page, ".events.wide", "Hall")
    wait_until(lambda: count(page, ".events.wide li") == 1, "only the events of the hall are shown")
