"""The last hour of each device on the overview, in a real browser."""

from pages import World, shows
from records import DEVICE
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from services import wait_until

from broker.topics import mac_address

AWAY, QUIET = "0123456789ac", "0123456789ad"
DRAWN = """
  const canvas = document.querySelector(arguments[0]);
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height - 3).data;
  return pixels.some((value, place) => place % 4 === 3 && value > 0);
"""


def strip(device: str) -> str:
    """Return the selector of a device's strip."""
    return f'a.card[data-mac="{mac_address(device)}"] .strip'


def point(page: webdriver.Chrome, device: str) -> None:
    """Point at the newest minute of a device's strip."""
    canvas = page.find_element(By.CSS_SELECTOR, strip(device))
    ActionChains(page).move_to_element_with_offset(canvas, canvas.size["width"] // 2 - 1, 0).perform()


def test_a_strip_tells_each_minute_and_why_there_is_nothing(world: World, page: webdriver.Chrome) -> None:
    """What was heard is drawn and told, being off has a pattern and a word, and in an empty hour nobody spoke."""
    world.announce(name="Kitchen")
    world.announce(device=AWAY, name="Away")
    world.announce(device=AWAY, name="Away", state="offline", connection=2)
    world.announce(device=QUIET, name="Study")
    shows(page, ".cards", "Study")
    world.speak(5)
    said = f"return document.querySelector('{strip(DEVICE)}').getAttribute('aria-label')"
    wait_until(lambda: page.execute_script(said).startswith("5 readings"), "the strip counts them")

    for device, words in ((DEVICE, "Anger 70 %"), (AWAY, "offline"), (QUIET, "nobody spoke")):
        ActionChains(page).move_to_element(page.find_element(By.CSS_SELECTOR, "h1, .brand")).perform()
        point(page, device)
        shows(page, ".tip", words)
    assert [page.execute_script(DRAWN, strip(device)) for device in (DEVICE, AWAY, QUIET)] == [True, True, False]
    words = [page.find_element(By.CSS_SELECTOR, f"{strip(device)} + .silent") for device in (DEVICE, AWAY, QUIET)]
    assert [each.text for each in words] == ["", "", "nobody spoke"]
