"""Names on plots: drawn in a font that has them, replaced where none has, and never wider than the plot."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from clients import MAC, URL, Client
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from records import DEVICE

from server.query.summary import Summary
from server.query.time_range import UTC, Range
from server.rest import plot_text, plots
from server.rest.plot_text import Subject, drawable
from server.store import keys

PLOTS = ("timeline", "histogram", "mean")


def title(figure: Figure) -> str:
    """Return the title of a figure."""
    return figure.get_suptitle()


def drawn(name: str) -> Figure:
    """Return a plot of a device with a name."""
    return plots.mean(
        plots.Frame(Subject(name, MAC), Range(0, 3_600_000), UTC, plots.Look()), Summary(Range(0, 3_600_000))
    )


@pytest.mark.parametrize("name", ["W" * 64, "\u0416" * 64, "Kitchen"])
def test_a_name_is_shortened_to_what_fits(name: str) -> None:
    """Sixty-four wide letters end in an ellipsis before the address, inside the plot; a short name stays whole."""
    figure = drawn(name)
    assert figure._suptitle is not None  # type: ignore[attr-defined]
    assert plot_text.width(figure, figure._suptitle) <= 0.96  # type: ignore[attr-defined]
    shown = title(figure).partition("\n")[0]
    assert shown.endswith(f"({MAC})")
    assert ("…" in shown) == (name != "Kitchen")
    assert name[:20] in shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\u53a8\u623f", MAC),
        ("\u53a8\u623f Kitchen", f"… Kitchen ({MAC})"),
        ("Kitchen \U0001f373\ufe0f", f"Kitchen … ({MAC})"),
        ("a\x01b\u202e", f"a\ufffdb\ufffd ({MAC})"),
        ("", MAC),
    ],
)
def test_what_no_font_can_draw_is_no_box(monkeypatch: pytest.MonkeyPatch, name: str, shown: str) -> None:
    """Letters without a glyph become an ellipsis, and a name of nothing else becomes the address."""
    monkeypatch.setattr(plot_text, "_OTHER_FAMILIES", ("no such font",))
    plot_text._fonts.cache_clear()
    plot_text._family.cache_clear()
    assert title(drawn(name)).startswith(f"Mean confidence where strongest: {shown}\n")


def test_an_installed_font_draws_what_the_first_one_cannot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A font that has the letters is used for them, beside the usual one."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((0, 700))
    pen.lineTo((700, 0))
    pen.closePath()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "kitchen"])
    font.setupCharacterMap({0x53A8: "kitchen"})
    font.setupGlyf({".notdef": pen.glyph(), "kitchen": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (800, 0), "kitchen": (800, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Noto Sans of this test", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800)
    font.setupPost()
    path = tmp_path / "font.ttf"
    font.save(path)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", font_manager.fontManager.ttflist.copy())
    font_manager.fontManager.addfont(path)
    plot_text._fonts.cache_clear()
    plot_text._family.cache_clear()
    try:
        assert drawable("\u53a8 1") == ("\u53a8 1", ["DejaVu Sans", "Noto Sans of this test"])
        plots.render(drawn("\u53a8 1"), "png")
    finally:
        plot_text._fonts.cache_clear()
        plot_text._family.cache_clear()


@pytest.mark.parametrize("plot", PLOTS)
def test_a_name_of_an_earlier_version_spoils_no_plot(client: Client, now: int, plot: str) -> None:
    """Control characters in a stored name leave an SVG well-formed, and are replaced in JSON."""
    client.store.execute("HSET", keys.base(DEVICE), "name", "a\0b\x1b\ufffe\u202ec")
    svg = client.ask(f"{URL}/plots/{plot}.svg")
    assert svg.status_code == 200
    ET.fromstring(svg.data)
    assert re.search(r"<title id='title'>.*: a\ufffdb\ufffd+c", svg.text)
    assert client.get(URL)["name"] == "a\ufffdb\ufffd\ufffd\ufffdc"
    assert client.get("/api/v1/devices")["devices"][0]["name"] == "a\ufffdb\ufffd\ufffd\ufffdc"


@settings(max_examples=30, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(), max_size=64))
def test_no_name_makes_an_svg_ill_formed(name: str) -> None:
    """Whatever text a name is, its SVG is XML."""
    ET.fromstring(plots.render(drawn(name), "svg"))
