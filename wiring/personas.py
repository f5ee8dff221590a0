"""What is special about each of the simulated devices of the demo."""

from typing import NamedTuple

from broker.messages import CaptureState, DeviceState

_LABELS = (("ANG", "HAP", "NEU"), ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"))


class Persona(NamedTuple):
    """What is special about one device."""

    name: str
    hours: tuple[int, int]
    """When there is speech, hours of the day in UTC."""
    talk: float
    """How much of that time, 0 to 1."""
    labels: tuple[str, ...] = _LABELS[0]
    lean: str = "NEU"
    """The emotion that is a little more likely."""
    state: DeviceState = "online"
    capture: CaptureState = "ok"


PERSONAS = (
    Persona("Kitchen", (6, 22), 0.5, lean="HAP"),
    Persona("Living room", (15, 23), 0.6, lean="HAP"),
    Persona("Reception", (7, 18), 0.55),
    Persona("Lab bench", (8, 19), 0.4, labels=_LABELS[1]),
    Persona("Meeting room 1", (8, 18), 0.5, lean="ANG"),
    Persona("Meeting room 2", (8, 18), 0.35),
    Persona("Study", (7, 24), 0.25),
    Persona("Bedroom", (6, 23), 0.1, state="paused"),
    Persona("Workshop", (8, 17), 0.3, lean="ANG", capture="zeros"),
    Persona("Hall", (6, 24), 0.2),
    Persona("Café", (7, 20), 0.8, labels=_LABELS[1], lean="HAP"),
    Persona("Garage", (9, 20), 0.1, state="offline"),
)
