"""Text on plots: which fonts can draw it, what stands in for what none can draw, and how much of it fits."""

import functools
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from common import text

ELLIPSIS = "…"
_FAMILY = "DejaVu Sans"
"""Comes with matplotlib."""
_OTHER_FAMILIES = ("Noto Sans", "Noto Emoji", "WenQuanYi", "Droid Sans Fallback", "IPAGothic", "Symbola", "Unifont")
"""How the names of fonts begin that are used where they are installed; none of them has its glyphs as pictures."""
_BELONGS_BEFORE = frozenset(["Cf", "Mn", "Sk"])
"""Categories of what changes the character before: joiners, accents and variants, colours of skin."""


class Subject(NamedTuple):
    """The device that a plot is about."""

    name: str
    """As people call it, perhaps empty."""
    mac: str

    def heading(self, name: str) -> str:
        """Return what to call the device where so much of its name can be shown."""
        return f"{name} ({self.mac})" if name else self.mac


class Drawable(NamedTuple):
    """Text as it can be drawn."""

    text: str
    families: list[str]
    """Fonts, the first with a glyph draws it."""


def drawable(given: str) -> Drawable:
    """Return text with an ellipsis for what no installed font can draw, empty if it can draw nothing of it."""
    families = [_FAMILY]
    drawn = ""
    for char in text.clean(given):
        family = _family(char)
        belongs = unicodedata.category(char) in _BELONGS_BEFORE
        if drawn.endswith(ELLIPSIS) and (belongs or not family):
            continue
        if family:
            families += [family] if family not in families else []
            drawn += char
        elif not belongs:
            drawn += ELLIPSIS
    return Drawable(drawn if drawn.strip(f"{ELLIPSIS} {text.REPLACEMENT}") else "", families)


def width(figure: Figure, artist: Artist) -> float:
    """Return how wide something on a figure is, as a share of the figure's width."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    return float(artist.get_window_extent(renderer).width / figure.bbox.width)


def fit(figure: Figure, artist: Text, write: Callable[[str], str], name: str, share: float) -> None:
    """Write a name, shortened by as little as it takes.

    Args:
        figure: Where the text is.
        artist: The text.
        write: Returns the whole text with a name.
        name: The name.
        share: Of the figure's width, how much the text may have.
    """

    def fits(kept: int) -> bool:
        artist.set_text(write(_shorten(name, kept)))
        return width(figure, artist) <= share

    if not fits(len(name)):
        low, high = 0, len(name) - 1  # so many characters fit, so many may fit
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        artist.set_text(write(_shorten(name, low)))


def _shorten(name: str, kept: int) -> str:
    return name if kept >= len(name) else name[:kept].rstrip(" \u200d") + ELLIPSIS


@functools.lru_cache(maxsize=4096)
def _family(char: str) -> str | None:
    """Return the first font that has a glyph for a character, or None."""
    return next((family for family, path in _fonts() if font_manager.get_font(path).get_char_index(ord(char))), None)


@functools.cache
def _fonts() -> list[tuple[str, str]]:
    """Return family and file of the fonts that may be used."""
    found = {
        font.name: font.fname for font in font_manager.fontManager.ttflist if font.name.startswith(_OTHER_FAMILIES)
    }
    return [(_FAMILY, font_manager.findfont(_FAMILY)), *sorted(found.items(), key=_preference)]


def _preference(font: tuple[str, str]) -> tuple[int, str]:
    return next(place for place, start in enumerate(_OTHER_FAMILIES) if font[0].startswith(start)), font[0]
