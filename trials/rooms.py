"""What a baseline is worth in rooms that a model does not know: `python -m trials.rooms [BUNDLE] [--plot FILE]`.

A room is a corpus: its voices, its microphone, its language. In a room of one speaker a device hears windows of this
speaker in random order, with a share of neutral ones that it does not know; what it then answers is scored on clips of
the same speaker that it has not heard. In a room of all speakers everybody of the corpus is heard and scored. Figures
are unweighted average recalls over all rooms of a corpus. A corpus that taught the model has strangers only for the
bundle of a fold, which has unheard speakers; of a release its figures are those of clips that trained it.

It prints two tables in Markdown: of the assumed mix, which is the bundle's whatever was really heard, and of other
voices. In the second *another* is the next speaker of the corpus, of whom nothing was heard before, then a minute and
ten minutes; *television* is an hour of voices of the next corpus, a third of it neutral, after which the first is
scored again; *three people* are heard in turn. `cold` is without a baseline.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

import models.bundle
from models.baseline import NEUTRAL, Heard, Reference
from models.bundle import Bundle, BundleError
from models.runtime import Classifier, softmax
from training import catalogue, evaluate, plots, score
from training.backgrounds import BACKGROUNDS
from training.corpora import Clip
from training.rooms import HALF_LIFE, LIKELY, MOST_ROOMS, USUAL, WINDOWS, Corpus, Found, after, hear, rooms, voices_of
from training.tables import table
from trials import pictures
from trials.pictures import End

SHARES = (0.0, 0.33, 0.5, 0.7, 0.9, 1.0)
"""Of neutral windows in what is heard; the others are alike."""
COUNTS = (0, 5, 10, 20, 50, 100, 200, 400, 1_000)
HOUR = 3_600
TELEVISION = 1 / 3
"""Share of neutral windows on television, in voices of another corpus."""
COLOURS = ("#b3261e", "#c05a00", "#8a6d00", "#0f6675", "#27579f", "#5b2a86")
"""Of the shares, red for none to violet for all; each 4.5:1 on white."""


def main() -> None:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(prog="python -m trials.rooms")
    parser.add_argument("bundle", nargs="?", default=models.bundle.DEFAULT, help="name or folder of a bundle")
    parser.add_argument("--recordings-dir", type=Path, default=Path("../shared/data"))
    parser.add_argument("--plot", type=Path, help="file to draw the curves over heard windows into, such as rooms.svg")
    asked = parser.parse_args()
    made = models.bundle.load(models.bundle.find(asked.bundle))
    known = made.manifest.baseline
    if known is None:
        raise SystemExit(f"{made.folder} has no baseline in its manifest: train it with this version")
    spoken = [name for name, corpus in catalogue.SCORED.items() if not corpus.voices]  # the same people also sing
    spoken.sort(key=lambda name: catalogue.is_own(name, made.manifest))  # strangers first
    corpora = [answers(made, known, name, asked.recordings_dir) for name in spoken]
    print(f"{made.manifest.name}; assumed shares {dict(zip(made.manifest.labels, known.mix, strict=True))}\n")
    print(mixes(corpora))
    print(voices(corpora))
    if asked.plot:
        pictures.save(draw(made.manifest.name, corpora), asked.plot)


def answers(made: Bundle, known: Reference, name: str, recordings_dir: Path) -> Corpus:
    """Return a model's answers to one window of each clip, amid noise like the clip's own background."""
    manifest = made.manifest
    clips, title = strangers(name, catalogue.read(name, recordings_dir, manifest.labels), made)
    own = {"own": BACKGROUNDS["own"]}
    logits = evaluate.logits(Classifier(made), score.windows(clips, manifest, own))
    speakers = np.array([clip.speaker for clip in clips])
    return Corpus(
        title,
        softmax(logits / manifest.temperature),
        score.truth(clips, manifest.labels, own),
        speakers,
        known,
        manifest.labels.index(NEUTRAL),
    )


def strangers(name: str, clips: Sequence[Clip], made: Bundle) -> tuple[Sequence[Clip], str]:
    """Return the clips of speakers whom a model never heard, or all if it heard all, with a title that says so."""
    title = catalogue.CORPORA[name].title
    if not catalogue.is_own(name, made.manifest):
        return clips, title
    try:
        return score.unheard(clips, made), f"{title}, unheard"
    except BundleError:
        return clips, f"{title}, which trained it"


class Case(NamedTuple):
    """What a device hears, and whose voice is then scored."""

    phases: tuple[tuple[str, float, int], ...]
    """Who is heard, the share of neutral windows, and how many."""
    scored: str = "one"


LEARNED = ("one", 0.7, 1_000)
CASES = {
    "learned (1,000 windows)": Case((LEARNED,)),
    "another speaks": Case((LEARNED,), "two"),
    "a minute later": Case((LEARNED, ("two", 0.7, 60)), "two"),
    "ten minutes later": Case((LEARNED, ("two", 0.7, 600)), "two"),
    "an hour of television": Case((LEARNED, ("television", TELEVISION, HOUR))),
    "ten minutes after it": Case((LEARNED, ("television", TELEVISION, HOUR), ("one", 0.7, 600))),
    "three people": Case(tuple((who, 0.7, 10) for _ in range(35) for who in ("one", "two", "three"))),
}


def mixes(corpora: Sequence[Corpus]) -> str:
    """Return the table of corpora and mixes after 100 heard windows."""
    rows = []
    for corpus in corpora:
        for apart in (True, False):
            (cold,) = after(corpus, USUAL, [0], apart=apart)
            warm = {share: after(corpus, share, [WINDOWS], apart=apart)[0] for share in SHARES}
            rows.append(
                {
                    f"after {WINDOWS} windows, share of neutral ones": f"{corpus.title}, {'one' if apart else 'all'} "
                    f"speaker{'s' * (not apart)}",
                    "cold": _percent(cold.uar),
                    **{f"{share:.0%}": _percent(warm[share].uar) for share in SHARES},
                    "worst of 50 to 90 %": f"**{_percent(min(warm[share].uar for share in LIKELY))}**",
                    "ECE cold, then (70 %)": f"{cold.ece:.3f}, {warm[USUAL].ece:.3f}",
                }
            )
    return table(rows)


def voices(corpora: Sequence[Corpus]) -> str:
    """Return the table of what disturbs a baseline: other voices in a room of one speaker, who is 70 % neutral."""
    rows = []
    for number, corpus in enumerate(corpora):
        found = [Found() for _ in CASES]
        television = corpora[(number + 1) % len(corpora)]
        rng = np.random.default_rng(2)
        own = list(rooms(corpus, rng, apart=True))[: 2 * MOST_ROOMS]
        for place, room in enumerate(own):
            # the next rooms but one are those of the next speakers: each speaker has two
            one, two, three = (own[(place + step) % len(own)].heard for step in (0, 2, 4))
            everybody = np.arange(len(television.truth))
            parts = {"one": one, "two": two, "three": three}
            for case, answered in zip(CASES.values(), found, strict=True):
                heard = Heard()
                for who, share, count in case.phases:
                    source = (television, everybody) if who == "television" else (corpus, parts[who])
                    heard = heard.add(hear(*source, share, count, rng), HALF_LIFE)
                scored = room.scored if case.scored == "one" else own[(place + 2) % len(own)].scored
                answered.add(corpus, scored, heard.shift(corpus.known))
        uars = {name: _percent(answered.uar) for name, answered in zip(CASES, found, strict=True)}
        rows.append({"other voices in a room of one speaker": corpus.title, **uars})
    return table(rows)


def draw(name: str, corpora: Sequence[Corpus]) -> Figure:
    """Draw the UAR over the number of heard windows, for each corpus and mix.

    Args:
        name: of the model.
        corpora: its answers.
    """
    with pictures.drawn((9, 3.9)) as figure:
        panels = figure.subplots(1, len(corpora), sharey=True)
        curves = {
            (place, share): [answered.uar for answered in after(corpus, share, COUNTS, apart=True)]
            for place, corpus in enumerate(corpora)
            for share in SHARES
        }
        every = [uar for curve in curves.values() for uar in curve]
        panels[0].set(ylim=(min(every) - 0.11, max(every) + 0.02), ylabel="unweighted average recall")
        for place, (panel, corpus) in enumerate(zip(panels, corpora, strict=True)):
            cold = curves[place, SHARES[0]][0]
            panel.axhline(cold, color=plots.QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
            below: Any = {"xytext": (5, -17), "textcoords": "offset points", "va": "top", "fontsize": 8}
            panel.annotate(f"{cold:.0%} without\na baseline", (0, cold), color=plots.QUIET, **below)
            for share, colour in zip(SHARES, COLOURS, strict=True):
                likely = share in LIKELY
                panel.plot(
                    COUNTS,
                    curves[place, share],
                    color=colour,
                    linestyle="-" if likely else (0, (5, 2)),
                    linewidth=2.4 if share == USUAL else 1.5 if likely else 1.1,
                    zorder=3 if likely else 2,
                )
            panel.set_xscale("symlog", linthresh=10, linscale=0.6)
            panel.set(xlim=(0, COUNTS[-1]), xlabel="windows of speech heard")
            panel.set_xticks([0, 10, 100, 1_000], ["0", "10", "100", "1,000"])
            panel.set_title(f"{corpus.title}\n", pad=4)
            about = f"{len(voices_of(corpus))} speakers, a room for each"
            panel.text(0, 1.02, about, transform=panel.transAxes, va="bottom", color=plots.QUIET)
            panel.grid()
            panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            ends = [
                End(curves[place, share][-1], f"{share:.0%}", colour, share == USUAL)
                for share, colour in zip(SHARES, COLOURS, strict=True)
            ]
            pictures.name_ends(panel, ends, most=15)
        pictures.name(figure, f"{name}: recall by how much of a voice a device has heard before")
        figure.supxlabel(
            "At the right: the share of neutral speech in what was heard; solid from 50 to 90 %, bold where it is as "
            "assumed.",
            x=0.01,
            ha="left",
            fontsize=8.5,
            color=plots.QUIET,
        )
    return figure


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
