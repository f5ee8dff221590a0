"""Names and colours of emotions and of spans: one palette for the plots, and for the page by way of `/meta`."""

from typing import NamedTuple

from server.query.spans import SpanKind


class Colour(NamedTuple):
    """A colour for each ground, hexadecimal RGB."""

    light: str
    dark: str

    def on(self, *, dark: bool) -> str:
        """Return the colour for a ground."""
        return self.dark if dark else self.light


class Emotion(NamedTuple):
    """How an emotion is shown."""

    name: str
    colour: Colour
    """At least 3:1 on its ground, and told apart by colour-blind people."""


class SpanStyle(NamedTuple):
    """How a stretch of time without a clear emotion is shown."""

    name: str
    colour: Colour
    """Faint enough to lie behind lines."""
    hatch: str | None = None
    """As matplotlib writes it; told apart without colours."""
    hatch_colour: Colour | None = None


GROUND = Colour("#ffffff", "#1b222b")
INK = Colour("#1d242c", "#e8edf2")
"""Text and what is counted over all emotions."""
QUIET = Colour("#56616c", "#a3afba")
"""Text of axes."""
LINES = Colour("#dfe4e9", "#333d48")
# Found by a search that begins at common choices (anger red, sadness blue) and keeps what the test of this file asks.
EMOTIONS = {
    "ANG": Emotion("Anger", Colour("#c12900", "#f54f2a")),
    "DIS": Emotion("Disgust", Colour("#46794b", "#86b87d")),
    "FEA": Emotion("Fear", Colour("#9e6fcd", "#e3aaee")),
    "HAP": Emotion("Happiness", Colour("#cc7b0f", "#f1bc23")),
    "NEU": Emotion("Neutral", Colour("#7c8794", "#aab3b3")),
    "SAD": Emotion("Sadness", Colour("#27579f", "#5e85e1")),
    "CAL": Emotion("Calm", Colour("#15a07a", "#3df2bc")),
    "SUR": Emotion("Surprise", Colour("#860f5b", "#aa6666")),
    "BOR": Emotion("Boredom", Colour("#5a3b3a", "#8f6383")),
    "CON": Emotion("Contempt", Colour("#2a2118", "#e0ffff")),
}
SPANS: dict[SpanKind, SpanStyle] = {
    "silence": SpanStyle("Silence", Colour("#edf0f4", "#232b35")),
    "uncertain": SpanStyle("Uncertain", Colour("#fbf1d0", "#3a3423"), "..", Colour("#dcc07a", "#7d6a35")),
    "paused": SpanStyle("Paused", Colour("#e4e0f0", "#2f2c42"), "||", Colour("#aaa0cc", "#6f66a0")),
    "offline": SpanStyle("Offline", Colour("#dde2e7", "#2b333d"), "//", Colour("#a3adb7", "#67737f")),
    "missing": SpanStyle("Nothing received", Colour("#f8dfdb", "#40292a"), "xx", Colour("#d79a92", "#96605c")),
}
OTHER_COLOURS = (
    Colour("#ee4466", "#cc3333"),
    Colour("#880000", "#779955"),
    Colour("#994466", "#aa88aa"),
    Colour("#0000ff", "#5566bb"),
    Colour("#447799", "#669988"),
    Colour("#4400aa", "#22ff88"),
)
"""Of labels that are not above: as far from those and from each other as may be, in the light and in the dark alike."""
_POOL = (*OTHER_COLOURS, *(shown.colour for shown in EMOTIONS.values()))


def emotion(label: str, labels: list[str]) -> Emotion:
    """Return how a label is shown; one that is not in the palette keeps its own name.

    Args:
        label: As on the wire.
        labels: All labels that are shown together. An unknown one among them has the colour that it falls on by its
            letters, or the next that none before it has; `assign` in the dashboard's palette.js is the same.
    """
    if label in EMOTIONS:
        return EMOTIONS[label]
    together = {*labels, label}
    taken = {EMOTIONS[known].colour for known in together & EMOTIONS.keys()}
    colour = _POOL[0]
    for unknown in sorted(together - EMOTIONS.keys()):
        first = _letters(unknown) % len(OTHER_COLOURS)
        order = (*OTHER_COLOURS[first:], *OTHER_COLOURS[:first], *_POOL[len(OTHER_COLOURS) :])
        colour = next((free for free in order if free not in taken), order[0])
        taken.add(colour)
        if unknown == label:
            break
    return Emotion(label, colour)


def _letters(label: str) -> int:
    """Return a number that depends on the letters of a label only."""
    found = 0
    for letter in label:
        found = (found * 31 + ord(letter)) % 65_521
    return found
