"""Which emotions a plot draws: a device can name hundreds, each of which takes time and room."""

from collections.abc import Mapping

from matplotlib.figure import Figure

MOST = 16
"""As many as one model may have."""


def shown(figure: Figure, readings: Mapping[str, float]) -> list[str]:
    """Return the labels to draw, sorted: those with most readings. If some are left out, the title says so.

    Args:
        figure: With a title, to which it is added.
        readings: How many each label has.
    """
    most = sorted(readings, key=lambda label: (-readings[label], label))[:MOST]
    if len(most) < len(readings):
        (title,) = (text for text in figure.texts if text.get_text() == figure.get_suptitle())
        title.set_text(f"{title.get_text()}\n{MOST} of {len(readings)} emotions: those with most readings")
    return sorted(most)
