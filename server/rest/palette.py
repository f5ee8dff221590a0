"""Full names and colours of the emotions: one palette for the plots and the page."""

from typing import NamedTuple


class Emotion(NamedTuple):
    """How an emotion is shown."""

    name: str
    colour: str
    """Hexadecimal RGB; dark enough on white, and told apart by colour-blind people."""


# After Okabe and Ito, https://jfly.uni-koeln.de/color/, with yellow and sky blue darkened for lines on white.
EMOTIONS = {
    "ANG": Emotion("Anger", "#c8452f"),
    "DIS": Emotion("Disgust", "#7a6a00"),
    "FEA": Emotion("Fear", "#8e4ba8"),
    "HAP": Emotion("Happiness", "#e69f00"),
    "NEU": Emotion("Neutral", "#5f6b76"),
    "SAD": Emotion("Sadness", "#0072b2"),
}
_OTHER_COLOURS = ("#009e73", "#cc79a7", "#56b4e9", "#3d3d3d")


def emotion(label: str, place: int = 0) -> Emotion:
    """Return how a label is shown; a label that is no emotion of ours is shown as itself.

    Args:
        label: As on the wire.
        place: Which of several such labels this is, so that they differ.
    """
    return EMOTIONS.get(label) or Emotion(label, _OTHER_COLOURS[place % len(_OTHER_COLOURS)])
