"""Names and colours of emotions and of spans: one palette for the plots, and for the page by way of `/meta`."""

from typing import NamedTuple

from server.query.spans import SpanKind


class Emotion(NamedTuple):
    """How an emotion is shown."""

    name: str
    colour: str
    """Hexadecimal RGB; dark enough on white, and told apart by colour-blind people."""


class SpanStyle(NamedTuple):
    """How a stretch of time without a clear emotion is shown."""

    name: str
    colour: str
    """Hexadecimal RGB; pale enough to lie behind lines."""
    hatch: str | None = None
    """As matplotlib writes it."""
    hatch_colour: str | None = None


# After Okabe and Ito, https://jfly.uni-koeln.de/color/, with yellow and sky blue darkened for lines on white.
EMOTIONS = {
    "ANG": Emotion("Anger", "#c8452f"),
    "DIS": Emotion("Disgust", "#7a6a00"),
    "FEA": Emotion("Fear", "#8e4ba8"),
    "HAP": Emotion("Happiness", "#e69f00"),
    "NEU": Emotion("Neutral", "#5f6b76"),
    "SAD": Emotion("Sadness", "#0072b2"),
}
SPANS: dict[SpanKind, SpanStyle] = {
    "silence": SpanStyle("Silence", "#e9edf2"),
    "uncertain": SpanStyle("Uncertain", "#fbeec2"),
    "paused": SpanStyle("Paused", "#dcd6ea", "..", "#b8aed3"),
    "offline": SpanStyle("Offline", "#d3d8de", "//", "#aeb6bf"),
    "missing": SpanStyle("Nothing received", "#f6d9d5", "xx", "#dfa69f"),
}
_OTHER_COLOURS = ("#009e73", "#cc79a7", "#56b4e9", "#3d3d3d")


def emotion(label: str, place: int = 0) -> Emotion:
    """Return how a label is shown; a label that is not in the palette keeps its own name.

    Args:
        label: As on the wire.
        place: Which of the labels this is; unknown ones get different colours by it.
    """
    return EMOTIONS.get(label) or Emotion(label, _OTHER_COLOURS[place % len(_OTHER_COLOURS)])
