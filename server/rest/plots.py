"""The three plots, drawn by matplotlib without a display: confidence over time, its histogram, its means."""

import io
from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple
from xml.sax.saxutils import escape

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from server.query.series import Grid
from server.query.spans import Span
from server.query.spread import Spread
from server.query.summary import Summary
from server.query.time_range import Range
from server.rest import palette, plot_labels, plot_text, time_axis
from server.rest.palette import SPANS, emotion
from server.rest.plot_text import Subject
from server.store.codec import SCORE_UNITS
from server.store.keys import DAY_MS
from server.store.rollups import BINS

POINTS = 300
"""Most steps on a timeline; with more the lines cannot be told apart."""

_PALE = 0.35
_BAND = 0.16
"""Opacity of what is paler than a colour: all readings of a histogram, and the spread around a mean."""
_TITLE_WIDTH = 0.96
"""Share of the figure's width."""
_LABEL_GAP = 0.062
"""Least distance of two names beside the timeline, share of the axis, on a figure of the usual height."""
_LEADER = {"arrowstyle": "-", "linewidth": 1.8, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
"""From the end of a line to its name."""
_FEW = 7
"""Bars that have room for a name below them."""

mpl.rcParams.update(
    {
        "font.size": 11,
        "svg.hashsalt": "moodwire",  # the same plot has the same bytes
        "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
        "text.parse_math": False,  # a dollar sign in a device's name begins no formula
    }
)


class Look(NamedTuple):
    """How a plot shall look."""

    dark: bool = False
    width: int = 1200
    """Pixels."""
    dpi: int = 120
    """Pixels per inch: text of 11 points has 11/72 of it."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        width = self.width / self.dpi
        return width, min(max(width / 2, 4.2), 7.0)

    def colour(self, which: palette.Colour) -> str:
        """Return a colour for the ground."""
        return which.on(dark=self.dark)


class Frame(NamedTuple):
    """What all plots have: whom they are about, when, in which zone, and how they look."""

    subject: Subject
    range: Range
    zone: tzinfo
    look: Look


def timeline(frame: Frame, grid: Grid, spread: Spread, spans: list[Span]) -> Figure:
    """Return mean confidence over time: a line for each emotion with the middle half of its readings as a band.

    Steps without readings are gaps, and spans are shades. Each line is named at its end, with its mean over the range,
    in which each reading counts once.
    """
    look = frame.look
    figure, axes = _figure_with_axes("Confidence over time", frame)
    days = (grid.timestamps + grid.step_ms / 2) / DAY_MS  # matplotlib counts days since 1970
    names = []
    readings = {label: int(grid.readings[~np.isnan(means)].sum()) for label, means in grid.means.items()}
    labels = plot_labels.shown(figure, readings)
    for label in labels:
        means, shown = grid.means[label], emotion(label, labels)
        colour = look.colour(shown.colour)
        if label in spread:
            low, high = spread[label]
            axes.fill_between(days, low, high, color=colour, alpha=_BAND, linewidth=0)
        axes.plot(days, means, color=colour, linewidth=1.8, solid_capstyle="round", solid_joinstyle="round")
        isolated = _isolated(np.isnan(means))
        axes.plot(days[isolated], means[isolated], "o", color=colour, markersize=3.5)
        known = ~np.isnan(means)
        if known.any():
            mean = float(np.average(means[known], weights=grid.readings[known]))
            names.append((float(means[known][-1]), f"{shown.name} {mean:.2f}", colour))
    if grid.timestamps.size:
        _name_lines(axes, names, look)
    else:
        _note_no_readings(axes, look)
    _shade(figure, axes, spans, look)
    ticks = time_axis.ticks(frame.range, frame.zone, most=int(look.size[0]) - 1)
    axes.set_xticks([tick.at / DAY_MS for tick in ticks], [tick.label for tick in ticks])
    axes.set_xlim(frame.range.start / DAY_MS, frame.range.end / DAY_MS)
    axes.set_xlabel(f"Time ({time_axis.zone_names(frame.range, frame.zone)})")
    axes.set_ylabel(f"Mean confidence per {_step_words(grid.step_ms)}")
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color=look.colour(palette.LINES), linewidth=0.8)
    return figure


def _name_lines(axes: Axes, names: list[tuple[float, str, str]], look: Look) -> None:
    """Write the name of each line at the right, at the height of its end, and apart from the others."""
    gap = min(_LABEL_GAP * 5 / look.size[1], 1 / max(len(names), 1))
    heights: list[float] = []
    for wanted, _, _ in sorted(names):
        heights.append(max(wanted, heights[-1] + gap if heights else 0))
    surplus = heights[-1] - 1 if heights else 0
    for place in reversed(range(len(heights))):  # push back what went above the axis
        if surplus <= 0:
            break
        highest = 1 - gap * (len(heights) - 1 - place)
        heights[place] = min(heights[place], highest)
    small = gap < _LABEL_GAP
    for (end, words, colour), height in zip(sorted(names), heights, strict=True):
        axes.annotate(
            words,
            (1.0, end),
            (1.025, height),
            xycoords=axes.transAxes,
            textcoords=axes.transAxes,
            va="center",
            color=look.colour(palette.INK),
            fontsize=8 if small else 10.5,
            arrowprops={"color": colour} | _LEADER,
            annotation_clip=False,
        )


def _shade(figure: Figure, axes: Axes, spans: list[Span], look: Look) -> None:
    """Draw spans behind the lines, and a legend of their kinds."""
    shades = []
    for kind, style in SPANS.items():
        stretches = [(span.start / DAY_MS, (span.end - span.start) / DAY_MS) for span in spans if span.kind == kind]
        if stretches:
            colour = look.colour(style.colour)
            drawn = axes.broken_barh(stretches, (0, 1), facecolor=colour, hatch=style.hatch, zorder=0)
            edge = look.colour(style.hatch_colour) if style.hatch_colour else colour
            drawn.set(edgecolor=edge, linewidth=0, label=style.name)
            shades.append(drawn)
    if shades:
        _legend(figure, shades, [str(shade.get_label()) for shade in shades], look)


def _legend(figure: Figure, handles: Sequence[Artist], names: list[str], look: Look) -> None:
    """Explain what is on the figure below it, in as many columns as fit."""
    columns = min(len(names), max(2, int(look.size[0] / 1.7)))
    ink = look.colour(palette.QUIET)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, labelcolor=ink)


def histogram(frame: Frame, result: Summary) -> Figure:
    """Return the histogram of confidence over all readings, a panel for each emotion."""
    look, title = frame.look, "Histogram of confidence"
    if not result.readings:
        return _no_readings(*_figure_with_axes(title, frame), look)
    figure = _titled_figure(title, frame)
    labels = plot_labels.shown(figure, {label: tally.readings for label, tally in result.labels.items()})
    width, height = look.size
    columns = min(len(labels), max(1, int(width / 2.6)))
    rows = -(-len(labels) // columns)
    figure.set_size_inches(width, height * max(1, rows / 2))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    edges = np.arange(BINS + 1) / BINS
    for place, axes in enumerate(panels.flat):
        _strip(axes, look)
        if place >= len(labels):
            axes.set_visible(False)
            continue
        label = labels[place]
        shown, tally = emotion(label, labels), result.labels[label]
        colour = look.colour(shown.colour)
        axes.stairs(tally.all, edges, fill=True, color=colour, alpha=_PALE)
        axes.stairs(tally.won, edges, fill=True, color=colour)
        count = int(tally.won.sum())
        axes.set_title(f"{shown.name}, won {count:,}", color=look.colour(palette.INK), fontsize=11, loc="left")
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))  # 2M, 500k
        axes.grid(axis="y", color=look.colour(palette.LINES), linewidth=0.8)
    quiet = look.colour(palette.QUIET)
    kinds = [Patch(color=quiet, alpha=_PALE), Patch(color=quiet)]
    _legend(figure, kinds, ["all readings", "strongest, in speech"], look)
    for axes in panels[-1]:
        axes.set_xlabel("Confidence (0 to 1)")
    figure.supylabel("Readings", color=quiet, fontsize=11)
    return figure


def mean(frame: Frame, result: Summary) -> Figure:
    """Return the mean confidence of each emotion over the readings that it won, and over all these.

    Each reading counts once, so the overall mean lies near the emotion that won most often. A whisker spans the middle
    half of the readings.
    """
    look = frame.look
    figure, axes = _figure_with_axes("Mean confidence where strongest", frame)
    if not result.count:
        return _no_readings(figure, axes, look)
    labels = plot_labels.shown(figure, {label: tally.readings for label, tally in result.labels.items()})
    bars = [(emotion(label, labels), result.labels[label].won, result.labels[label].won_total) for label in labels]
    overall = palette.Emotion("Overall", palette.INK)
    won = np.sum([tally.won for tally in result.labels.values()], axis=0)
    bars.append((overall, won, sum(tally.won_total for tally in result.labels.values())))
    counts = [int(won.sum()) for _, won, _ in bars]
    values = [total / SCORE_UNITS / count if count else 0.0 for (_, _, total), count in zip(bars, counts, strict=True)]
    places = np.arange(len(bars))
    axes.bar(places, values, color=[look.colour(shown.colour) for shown, _, _ in bars], width=0.62)
    few = len(bars) <= min(_FEW, look.size[0])
    ink, ground = look.colour(palette.INK), look.colour(palette.GROUND)
    for place, (value, count, (_, won, _)) in enumerate(zip(values, counts, bars, strict=True)):
        low, high = (_quantile(won, share) for share in (0.25, 0.75))
        top = max(value, high) if count else 0.0
        if count:
            axes.plot([place, place], [low, high], color=ground, linewidth=4.5, solid_capstyle="butt")
            axes.plot([place, place], [low, high], color=ink, linewidth=1.6, solid_capstyle="butt")
        axes.annotate(
            f"{value:.2f}\nn = {count:,}" if count else "never",
            (place, top),
            (0, 5),
            textcoords="offset points",
            ha="center",
            color=ink,
            fontsize=11 if few else 7,
        )
    axes.set_ylim(0, 1.16)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.set_ylabel("Mean confidence (0 to 1)")
    axes.set_xticks(places, [shown.name for shown, _, _ in bars])
    axes.tick_params(axis="x", labelsize=12 if few else 8, length=0, labelcolor=ink)
    if not few:
        for name in axes.get_xticklabels():
            name.set(ha="right", rotation=40, rotation_mode="anchor")
    axes.grid(axis="y", color=look.colour(palette.LINES), linewidth=0.8)
    figure.supxlabel("whisker: the middle half of the readings", color=look.colour(palette.QUIET), fontsize=9)
    return figure


def render(figure: Figure, form: str) -> bytes:
    """Return a figure as an image, `png` or `svg`, with its title inside for those who do not see it."""
    title, _, when = figure.get_suptitle().partition("\n")
    out = io.BytesIO()
    if form == "png":
        figure.savefig(out, format=form, metadata={"Title": title, "Description": when})
        return out.getvalue()
    figure.savefig(out, format=form, metadata={"Date": None})
    words = f"<title id='title'>{escape(title)}</title>\n<desc id='description'>{escape(_description(figure))}</desc>"
    head, mark, rest = out.getvalue().decode().partition(" <metadata>")
    head = head.replace("<svg ", "<svg role='img' aria-labelledby='title description' ", 1)
    return f"{head}{words}\n{mark}{rest}".encode()


def _description(figure: Figure) -> str:
    """Return what a figure says beside its title: its range, and the words at its lines, panels and bars."""
    words = figure.get_suptitle().split("\n")[1:]
    for axes in figure.axes:
        words += [title] if (title := axes.get_title("left")) else []
        names = [tick.get_text() for tick in axes.get_xticklabels()] if not axes.get_xlabel() else []
        texts = [each.get_text().replace("\n", ", ") for each in axes.texts]
        if len(names) == len(texts):
            texts = [f"{name} {text}" for name, text in zip(names, texts, strict=True)]
        words += texts
    return "; ".join(words)


def _quantile(bins: np.ndarray[tuple[int], np.dtype[np.int64]], share: float) -> float:
    """Return a quantile of what a histogram over 0 to 1 counts, as if each bin was evenly filled."""
    return float(np.interp(share * bins.sum(), np.concatenate([[0], np.cumsum(bins)]), np.arange(BINS + 1) / BINS))


def _figure_with_axes(what: str, frame: Frame) -> tuple[Figure, Axes]:
    """Return a figure for one pair of axes."""
    figure = _titled_figure(what, frame)
    axes = figure.subplots()
    _strip(axes, frame.look)
    return figure, axes


def _titled_figure(what: str, frame: Frame) -> Figure:
    """Return an empty figure that says what it shows, of whom and when."""
    subject, look = frame.subject, frame.look
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    figure = Figure(figsize=look.size, dpi=look.dpi, layout=layout, facecolor=look.colour(palette.GROUND))
    name = plot_text.drawable(subject.name)
    second = _range_words(frame.range, frame.zone)
    title = figure.suptitle("", color=look.colour(palette.INK), fontsize=12, fontfamily=name.families)
    plot_text.fit(figure, title, lambda shown: f"{what}: {subject.heading(shown)}\n{second}", name.text, _TITLE_WIDTH)
    return figure


def _strip(axes: Axes, look: Look) -> None:
    """Leave out frame and ticks, and write in the quiet colour."""
    quiet, lines = look.colour(palette.QUIET), look.colour(palette.LINES)
    axes.set_facecolor(look.colour(palette.GROUND))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, colors=quiet)
    axes.tick_params(axis="x", pad=8)  # clear of the lowest number of the other axis
    axes.spines["bottom"].set_color(lines)
    axes.xaxis.label.set_color(quiet)
    axes.yaxis.label.set_color(quiet)
    axes.set_axisbelow(True)


def _no_readings(figure: Figure, axes: Axes, look: Look) -> Figure:
    """Return an empty figure that says so."""
    axes.set_axis_off()
    _note_no_readings(axes, look)
    return figure


def _note_no_readings(axes: Axes, look: Look) -> None:
    axes.text(
        0.5,
        0.5,
        "no readings in this range",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=look.colour(palette.QUIET),
        fontsize=14,
        bbox={"color": look.colour(palette.GROUND), "pad": 8},
    )


def _isolated(missing: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which values have no neighbour, so that no line shows them."""
    around = np.pad(missing, 1, constant_values=True)
    isolated: np.ndarray[tuple[int], np.dtype[np.bool_]] = ~missing & around[:-2] & around[2:]
    return isolated


def _range_words(range_: Range, zone: tzinfo) -> str:
    """Return a range in words, with the zone at both ends if the clocks change between them."""
    since, until = (time_axis.local(at, zone) for at in range_)
    zones = [time_axis.zone_name(at, zone) for at in range_]
    start = f"{since:%Y-%m-%d %H:%M}" + (f" {zones[0]}" if zones[0] != zones[1] else "")
    end = f"{until:%H:%M}" if since.date() == until.date() else f"{until:%Y-%m-%d %H:%M}"
    return f"{start} to {end} {zones[1]}"


def _step_words(step_ms: int) -> str:
    """Return a step in words: `10 s`, `5 min`, `2 h`, `1 day`."""
    for unit_ms, unit in ((86_400_000, "day"), (3_600_000, "h"), (60_000, "min")):
        if step_ms % unit_ms == 0:
            count = step_ms // unit_ms
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{step_ms // 1000} s"
