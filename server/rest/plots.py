"""The three plots, drawn by matplotlib without a display: confidence over time, its histogram, its means."""

import io
from datetime import tzinfo

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, MaxNLocator

from server.query.series import Grid
from server.query.spans import Span
from server.query.summary import Summary
from server.query.time_range import Range
from server.rest import plot_text, time_axis
from server.rest.palette import SPANS, emotion
from server.rest.plot_text import Subject
from server.store.keys import DAY_MS
from server.store.rollups import BINS

POINTS = 300
"""Most steps on a timeline; with more the lines cannot be told apart."""

_SIZE_INCHES = (10.0, 5.0)
_DPI = 120
_PALE = 0.35
_TITLE_WIDTH = 0.96
"""Share of the figure's width."""
_TITLE_TOP, _TOP, _BOTTOM = 0.97, 0.82, 0.18
"""Top of the title, and top and bottom of the axes, from the bottom of the figure."""
_LINE = 0.05
"""Height of a line of text, share of the figure's height."""
_COLUMNS = 6
_FEW = 7
"""Bars that have room for a name below them."""

_INK, _QUIET, _LINES = "#22272e", "#5b6570", "#dfe3e8"
mpl.rcParams.update(
    {
        "font.size": 11,
        "svg.hashsalt": "moodwire",  # the same plot has the same bytes
        "text.parse_math": False,  # a dollar sign in a device's name begins no formula
    }
)


def timeline(subject: Subject, grid: Grid, spans: list[Span], range_: Range, zone: tzinfo) -> Figure:
    """Return mean confidence over time: a line for each emotion, gaps without readings, spans as shades."""
    figure, axes = _figure_with_axes(subject, "Confidence over time", range_, zone)
    days = (grid.timestamps + grid.step_ms / 2) / DAY_MS  # matplotlib counts days since 1970
    for place, (label, means) in enumerate(grid.means.items()):
        shown = emotion(label, place)
        axes.plot(days, means, color=shown.colour, label=shown.name, linewidth=1.6, solid_capstyle="round")
        isolated = _isolated(np.isnan(means))
        axes.plot(days[isolated], means[isolated], "o", color=shown.colour, markersize=3)
    if grid.timestamps.size:
        _add_legend(figure, axes)
    else:
        _note_no_readings(axes)
    _shade(figure, axes, spans)
    ticks = time_axis.ticks(range_, zone)
    labels = [tick.label for tick in ticks]
    if any("\n" in label for label in labels):  # below a zone there is less room
        labels = [label if "\n" in label else f"{label}\n" for label in labels]
        figure.subplots_adjust(bottom=_BOTTOM + _LINE)
    axes.set_xticks([tick.at / DAY_MS for tick in ticks], labels)
    axes.set_xlim(range_.start / DAY_MS, range_.end / DAY_MS)
    axes.set_xlabel(f"Time ({time_axis.zone_names(range_, zone)})")
    axes.set_ylabel(f"Mean confidence per {_step_words(grid.step_ms)}")
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color=_LINES, linewidth=0.8)
    return figure


def _add_legend(figure: Figure, axes: Axes) -> None:
    """Name the lines above the axes, in as many columns as fit side by side."""
    columns = _COLUMNS
    legend = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)
    names = [entry.get_text() for entry in legend.get_texts()]
    while columns > 1 and plot_text.width(figure, legend) > _TITLE_WIDTH:
        columns -= 1
        legend = axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)
    figure.subplots_adjust(top=_TOP - _LINE * ((len(names) - 1) // columns))


def _shade(figure: Figure, axes: Axes, spans: list[Span]) -> None:
    """Draw spans behind the lines, and a legend of their kinds."""
    shades = []
    for kind, style in SPANS.items():
        stretches = [(span.start / DAY_MS, (span.end - span.start) / DAY_MS) for span in spans if span.kind == kind]
        if stretches:
            drawn = axes.broken_barh(stretches, (0, 1), facecolor=style.colour, hatch=style.hatch, zorder=0)
            drawn.set(edgecolor=style.hatch_colour or style.colour, linewidth=0, label=style.name)
            shades.append(drawn)
    if shades:
        figure.legend(handles=shades, loc="lower center", ncols=len(SPANS), frameon=False)


def histogram(subject: Subject, result: Summary, zone: tzinfo) -> Figure:
    """Return the histogram of confidence over all readings, a panel for each emotion."""
    labels = sorted(result.labels)
    if not result.readings:
        return _no_readings(*_figure_with_axes(subject, "Histogram of confidence", result.range, zone))
    figure = _titled_figure(subject, "Histogram of confidence", result.range, zone)
    columns = min(len(labels), 3)
    rows = -(-len(labels) // columns)
    if rows > 2:  # two fill the usual height; the margins stay as they are
        figure.set_size_inches(_SIZE_INCHES[0], _SIZE_INCHES[1] * rows / 2)
        figure.suptitle(figure.get_suptitle(), y=1 - (1 - _TITLE_TOP) * 2 / rows)
        figure.subplots_adjust(top=1 - (1 - _TOP) * 2 / rows, bottom=_BOTTOM * 2 / rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    edges = np.arange(BINS + 1) / BINS
    for place, axes in enumerate(panels.flat):
        _strip(axes)
        if place >= len(labels):
            axes.set_visible(False)
            continue
        label = labels[place]
        shown, tally = emotion(label, place), result.labels[label]
        axes.stairs(tally.all, edges, fill=True, color=shown.colour, alpha=_PALE)
        axes.stairs(tally.won, edges, fill=True, color=shown.colour)
        axes.set_title(shown.name, color=shown.colour, fontsize=12, fontweight="bold")
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))  # 2M, 500k
        axes.grid(axis="y", color=_LINES, linewidth=0.8)
    kinds = [Patch(color=_QUIET, alpha=_PALE), Patch(color=_QUIET)]
    figure.legend(kinds, ["all readings", "strongest, in speech"], loc="lower center", ncols=2, frameon=False)
    for axes in panels[-1]:
        axes.set_xlabel("Confidence (0 to 1)")
    figure.supylabel("Readings", color=_QUIET, fontsize=11, x=0.01)
    return figure


def mean(subject: Subject, result: Summary, zone: tzinfo) -> Figure:
    """Return the mean confidence of each emotion over the readings that it won, and over all these."""
    figure, axes = _figure_with_axes(subject, "Mean confidence where strongest", result.range, zone)
    figure.subplots_adjust(top=0.87, bottom=0.1)  # there is no legend
    if not result.count:
        return _no_readings(figure, axes)
    names, values, colours, counts = [], [], [], []
    for place, label in enumerate(sorted(result.labels)):
        tally, shown = result.labels[label], emotion(label, place)
        names.append(shown.name)
        colours.append(shown.colour)
        counts.append(int(tally.won.sum()))
        values.append(tally.won_total / 10_000 / counts[-1] if counts[-1] else 0.0)
    won_total = sum(tally.won_total for tally in result.labels.values())
    names.append("Overall")
    colours.append(_INK)
    counts.append(result.count)
    values.append(won_total / 10_000 / result.count)
    bars = axes.bar(names, values, color=colours, width=0.62)
    axes.bar_label(
        bars,
        [f"{value:.2f}\nn = {count:,}" if count else "never" for value, count in zip(values, counts, strict=True)],
        padding=4,
        color=_INK,
        fontsize=11 if len(names) <= _FEW else 7,
        bbox={"color": "white", "pad": 1},
    )
    axes.set_ylim(0, 1.12)
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.set_ylabel("Mean confidence (0 to 1)")
    axes.tick_params(axis="x", labelsize=12, length=0, labelcolor=_INK)
    if len(names) > _FEW:
        figure.subplots_adjust(bottom=0.24)
        axes.tick_params(axis="x", labelsize=8, labelrotation=40)
        for name in axes.get_xticklabels():
            name.set(ha="right", rotation_mode="anchor")
    axes.grid(axis="y", color=_LINES, linewidth=0.8)
    return figure


def render(figure: Figure, form: str) -> bytes:
    """Return a figure as an image, `png` or `svg`."""
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _figure_with_axes(subject: Subject, what: str, range_: Range, zone: tzinfo) -> tuple[Figure, Axes]:
    figure = _titled_figure(subject, what, range_, zone)
    axes = figure.subplots()
    _strip(axes)
    return figure, axes


def _titled_figure(subject: Subject, what: str, range_: Range, zone: tzinfo) -> Figure:
    """Return a figure with a title and fixed margins; matplotlib takes longer to find margins than for all the rest."""
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI)
    figure.subplots_adjust(left=0.08, right=0.97, top=_TOP, bottom=_BOTTOM, wspace=0.08, hspace=0.35)
    name = plot_text.drawable(subject.name)
    second = _range_words(range_, zone)
    title = figure.suptitle("", color=_INK, fontsize=12, y=_TITLE_TOP, fontfamily=name.families)
    plot_text.fit(figure, title, lambda shown: f"{what}: {subject.heading(shown)}\n{second}", name.text, _TITLE_WIDTH)
    return figure


def _strip(axes: Axes) -> None:
    """Leave out frame and ticks, and write in the quiet colour."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, colors=_QUIET)
    axes.tick_params(axis="x", pad=8)  # clear of the lowest number of the other axis
    axes.spines["bottom"].set_color(_LINES)
    axes.xaxis.label.set_color(_QUIET)
    axes.yaxis.label.set_color(_QUIET)
    axes.set_axisbelow(True)


def _no_readings(figure: Figure, axes: Axes) -> Figure:
    """Return an empty figure that says so."""
    axes.set_axis_off()
    _note_no_readings(axes)
    return figure


def _note_no_readings(axes: Axes) -> None:
    axes.text(
        0.5,
        0.5,
        "no readings in this range",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=_QUIET,
        fontsize=14,
        bbox={"color": "white", "pad": 8},
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
