"""What is drawn is asked for once, however many look."""

import requests
from pages import World
from records import DEVICE
from rooms import VIEWER, bearer

from broker.topics import mac_address
from dashboard.api import Api
from dashboard.page import _Drawings

MAC = mac_address(DEVICE)


def asked(world: World, route: str) -> int:
    """Return how often REST has answered requests of a route."""
    told = requests.get(f"{world.rest.url}/metrics", headers=bearer(VIEWER), timeout=10).text
    name = f'moodwire_http_requests_total{{method="GET",route="/api/v1{route}",status="2xx"}} '
    return sum(int(float(line.removeprefix(name))) for line in told.splitlines() if line.startswith(name))


def test_all_who_look_at_the_same_share_one_drawing(world: World) -> None:
    """REST is asked once for each mark, device and range; a new mark asks anew."""
    world.announce()
    world.speak(1)
    drawings = _Drawings(Api(world.rest.url, VIEWER))
    for _ in range(5):
        (option,), _ = drawings.devices("mark 1")
        drawings.device("mark 1", MAC, 300, "Europe/Rome")
    assert option["value"] == MAC
    assert (asked(world, "/devices"), asked(world, "/devices/<mac>")) == (1, 1)
    drawings.device("mark 1", MAC, 3600, "Europe/Rome")
    drawings.device("mark 2", MAC, 300, "Europe/Rome")
    assert (asked(world, "/devices"), asked(world, "/devices/<mac>")) == (1, 3)
    assert asked(world, "/meta") == 1
