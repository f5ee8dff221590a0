"""Where the words of a plot stand."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def text_boxes(figure: Figure) -> dict[str, tuple[float, float, float, float]]:
    """Return left, bottom, right and top of each visible text that stands for itself, by place and words.

    None of them may leave the image.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    artists = [*figure.texts, *figure.legends[:1]]  # title and caption are texts, too
    for axes in figure.axes:
        if axes.get_visible():
            artists += [axes.title, axes.xaxis.label, *axes.texts, *axes.get_xticklabels()]
            artists += [legend] if (legend := axes.get_legend()) else []
    found = {}
    for number, artist in enumerate(artists):
        if artist is not None and getattr(artist, "get_text", lambda: "legend")():
            extent = Text.get_window_extent if isinstance(artist, Text) else type(artist).get_window_extent
            box = extent(artist, canvas.get_renderer())  # type: ignore[no-untyped-call] # without an annotation's arrow
            found[f"{number} {artist}"] = (box.x0, box.y0, box.x1, box.y1)
            assert min(box.x0, box.y0) >= 0, artist
            assert box.x1 <= figure.bbox.width, artist
            assert box.y1 <= figure.bbox.height, artist
    return found


def overlapping(boxes: dict[str, tuple[float, float, float, float]]) -> list[tuple[str, str]]:
    """Return the pairs of boxes that cover each other."""
    items = list(boxes.items())
    return [
        (one, other)
        for place, (one, a) in enumerate(items)
        for other, b in items[place + 1 :]
        if min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1
    ]
