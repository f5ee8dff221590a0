"""What a baseline is worth in rooms that a model does not know: `python -m trials.rooms [BUNDLE] [--plot FILE]`.

A room is a corpus: its voices, its microphone, its language. In a room of one speaker a device hears windows of this
speaker in random order, with a share of neutral ones that it does not know; what it then answers is scored on clips of
the same speaker that it has not heard. In a room of all speakers everybody of the corpus is heard and scored. Figures
are unweighted average recalls over all rooms of a corpus. A corpus that taught the model has strangers only for the
bundle of a fold, which has unheard speakers; of a release its figures are those of clips that trained it.

In the table of other voices, *another* is the next speaker of the corpus, of whom nothing was heard before, then a
minute and ten minutes; *television* is an hour of voices of the next corpus, a third of it neutral, after which the
first speaker is scored again; *three people* are heard in turn. `cold` is without a baseline; the assumed mix is the
bundle's, whatever was heard.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import models.bundle
from models.baseline import NEUTRAL, Heard, Reference
from models.bundle import Bundle, BundleError
from models.runtime import Classifier, softmax
from training import catalogue, evaluate, score
from training.backgrounds import BACKGROUNDS
from training.corpora import Clip
from training.rooms import HALF_LIFE, LIKELY, MOST_ROOMS, WINDOWS, Corpus, Found, after, hear, rooms

SHARES = (0.0, 0.33, 0.5, 0.7, 0.9, 1.0)
"""Of neutral windows in what is heard; the others are alike."""
COUNTS = (0, 5, 10, 20, 50, 100, 200, 400, 1_000)
HOUR = 3_600
TELEVISION = 1 / 3
"""Share of neutral windows on television, in voices of another corpus."""
COLOURS = ("#9b2226", "#ca6702", "#e9a23b", "#0a9396", "#005f73", "#001219")


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
    spoken = [name for name, corpus in catalogue.CORPORA.items() if not corpus.voices]  # the same people also sing
    corpora = [answers(made, known, name, asked.recordings_dir) for name in spoken]
    print(f"{made.manifest.name}; assumed shares {dict(zip(made.manifest.labels, known.mix, strict=True))}\n")
    print(mixes(corpora))
    print(voices(corpora))
    if asked.plot:
        draw(corpora, asked.plot)


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
    "learned": Case((LEARNED,)),
    "another": Case((LEARNED,), "two"),
    "+ 1 min": Case((LEARNED, ("two", 0.7, 60)), "two"),
    "+ 10 min": Case((LEARNED, ("two", 0.7, 600)), "two"),
    "television": Case((LEARNED, ("television", TELEVISION, HOUR))),
    "tv + 10 min": Case((LEARNED, ("television", TELEVISION, HOUR), ("one", 0.7, 600))),
    "three people": Case(tuple((who, 0.7, 10) for _ in range(35) for who in ("one", "two", "three"))),
}


def mixes(corpora: Sequence[Corpus]) -> str:
    """Return the table of corpora and mixes after 100 heard windows."""
    lines = [
        f"After {WINDOWS} heard windows, by the share of neutral ones among them; ECE before and after (70 %)",
        f"{'room':<42} cold  " + "".join(f"{share:>6.0%}" for share in SHARES) + "  worst of 50 to 90 %     ECE",
    ]
    for corpus in corpora:
        for apart in (True, False):
            (cold,) = after(corpus, 0.7, [0], apart=apart)
            warm = {share: after(corpus, share, [WINDOWS], apart=apart)[0] for share in SHARES}
            name = f"{corpus.title}: {'one speaker' if apart else 'all speakers'}"
            lines.append(
                f"{name:<42}{_percent(cold.uar)}  "
                + "".join(f" {_percent(warm[share].uar)}" for share in SHARES)
                + f"  {_percent(min(warm[share].uar for share in LIKELY)):>18}     {cold.ece:.3f} {warm[0.7].ece:.3f}"
            )
    return "\n".join(lines) + "\n"


def voices(corpora: Sequence[Corpus]) -> str:
    """Return the table of what disturbs a baseline: other voices in a room of one speaker."""
    lines = [
        f"Other voices in a room of one speaker, who is 70 % neutral; half-life {HALF_LIFE / 60:g} min of heard speech",
        f"{'room':<26}" + "".join(f"{name:>13}" for name in CASES),
    ]
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
        lines.append(f"{corpus.title:<26}" + "".join(f"{_percent(answered.uar):>13}" for answered in found))
    return "\n".join(lines) + "\n"


def draw(corpora: Sequence[Corpus], file: Path) -> None:
    """Draw the UAR over the number of heard windows, for each corpus and mix."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, len(corpora), sharey=True)
    for panel, corpus in zip(panels, corpora, strict=True):
        for share, colour in zip(SHARES, COLOURS, strict=True):
            found = after(corpus, share, COUNTS, apart=True)
            line = "-" if share in LIKELY else ":"
            panel.plot(
                range(len(COUNTS)), [answered.uar for answered in found], line, color=colour, label=f"{share:.0%}"
            )
        panel.set_title(f"{corpus.title} ({len(np.unique(corpus.speakers))} rooms)", fontsize=10)
        panel.set_xticks(range(len(COUNTS)), map(str, COUNTS))
        panel.set_xlabel("heard windows")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("unweighted average recall")
    panels[-1].legend(title="neutral", fontsize=8)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
