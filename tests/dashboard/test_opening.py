"""How the page opens: all that it needs at once, nothing dimmed, nothing missed."""

import pytest
from pages import World, shows
from records import DEVICE
from selenium import webdriver

from broker import topics

PILL = ".pill"
CARD = f'a.card[href="#/device/{topics.mac_address(DEVICE)}"]'


FETCHED = """
  const names = performance.getEntriesByType('resource').map(entry => entry.name);
  const hints = [...document.querySelectorAll('link[rel=modulepreload]')].map(link => link.href);
  return [names.filter(name => /[/](session|api)/.test(name)), names.filter(name => name.endsWith('.js')), hints];
"""


@pytest.mark.parametrize("view", ["", f"device/{topics.mac_address(DEVICE)}", "compare", "events", "model", "settings"])
def test_all_that_a_view_needs_is_asked_for_at_once(world: World, page: webdriver.Chrome, view: str) -> None:
    """Modules are hinted before any of them runs, and nothing that was asked for early is asked for again."""
    world.announce()
    page.execute_script("localStorage.setItem('moodwire.language', 'de')")
    page.get("about:blank")
    page.get(f"{world.url}/#/{view}")
    shows(page, PILL, "live")
    asked, modules, hints = page.execute_script(FETCHED)

    scripts = {name for name in modules if not name.endswith(("/theme.js", "/early.js"))}
    assert scripts == set(hints)
    counts = [sum(part in name for name in asked) for part in ("/session", "/meta", "/devices?page_size", "/strips?")]
    # Devices and strips are read once more when live events begin, since something may have happened until then.
    assert counts[:2] == [1, 1]
    assert counts[2] in {1, 2}
    assert counts[3] in ({0} if view else {1, 2})


def test_what_happens_while_the_page_opens_is_shown(world: World, page: webdriver.Chrome) -> None:
    """A state that changes after the list was read and before live events begin does not wait for the next minute."""
    world.announce()
    page.get("about:blank")
    with world.frozen(world.live):
        page.get(world.url)
        shows(page, CARD, "listening")
        world.announce(state="paused", connection=2)
    shows(page, CARD, "paused", 30)


def test_what_is_shown_at_first_is_not_dimmed(world: World, page: webdriver.Chrome) -> None:
    """A page that opens is not called old before it could connect."""
    world.announce()
    page.get("about:blank")
    script = """
      window.seen = [];
      new MutationObserver(() => window.seen.push(document.documentElement.hasAttribute('data-stale')))
        .observe(document, {attributes: true, childList: true, subtree: true});
    """
    page.execute_cdp_cmd("Page.enable", {})
    planted = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.get(world.url)
        shows(page, PILL, "live")
        assert True not in page.execute_script("return window.seen")
    finally:
        page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", planted)
