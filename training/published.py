"""The page of published systems: what they printed, what they are worth for strangers, and ours beside them."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from training import confusions, plots
from training.catalogue import CORPORA, SCORED
from training.confusions import Merged
from training.published_systems import LEAKY, SYSTEMS, System
from training.results import Elsewhere, Latency, Result, Score
from training.tables import Row, table

WIDTH = 120
"""Characters in a line of text."""
INTRODUCTION = """# Published systems, under one protocol

`moodwire report` writes this page from `training/results/`. Each system is a recipe in `training/recipes/` that anybody
can repeat: `moodwire train NAME --cross-validate` holds out speakers; `--split copies`, `leaky` and `order` are the
splits of their authors ([training.md](training.md)). One seed. The system that this project began with is among our
models, in [RESULTS.md](../training/RESULTS.md). **A leaky number tells nothing about a stranger's voice**: it is here
to be compared with the printed one.

Why 98 % and 36 % both come from the same recordings: a network that has heard an actor, or even another copy of the
same recording, recognises these and need not know the emotion. The split makes the number more than the network does.

UAR is the mean of the classes' recalls, ± the standard deviation over the folds. *Accuracy* is the share of right
answers, which is what the authors print. The recordings here are those of 20 of the 24 actors, at 16 kHz, resampled to
the 22.05 kHz of the authors; five folds hold out four actors each. Peers hear each clip as it is; ours hear it amid six
backgrounds, in int8 through the runtime of a device. *ms* is one clip of 3 s on one thread, features included
(`python -m trials.model_latency --write RECIPE…`).

![A woman's and a man's clip of each emotion, as waveform and spectrogram](../training/figures/ravdess-examples.png)

Each emotion of RAVDESS as a woman and a man portray it: waveform, and log-mel frames as our models hear them
(`moodwire data figures --corpus ravdess`; recordings of Livingstone and Russo 2018, CC BY-NC-SA 4.0).
"""


class _Shown(NamedTuple):
    """What of a system is on the page."""

    there: list[Result]
    """Of its recipes."""
    ours: Result | None
    best: Result | None
    """Of its recipes, the one that is best with strangers."""
    learner: Result | None
    """The best of those that learn in epochs."""


def render(
    found: Sequence[Result],
    kept: Mapping[str, Mapping[str, Elsewhere]],
    latencies: Mapping[str, Latency],
    taught: Mapping[str, str],
    pictures: str,
) -> str:
    """Return the page.

    Args:
        found: all results.
        kept: what models are worth on each corpus, as `results.read_elsewhere` returns it.
        latencies: by the recipe's name.
        taught: which corpora taught a model, by the name of each shipped one.
        pictures: path of the folder of pictures, from the page.
    """
    named = {result.name: result for result in found}
    parts = [INTRODUCTION, "## All of them\n", table(_glance(named))]
    for system in SYSTEMS:
        parts += _system(system, _shown(system, named), latencies, pictures)
    for name in dict.fromkeys(system.ours for system in SYSTEMS):
        if name in named and "speakers" in named[name].scores:
            parts += [f"## Ours: {name}\n", *_classes(named[name], None), _picture(pictures, name, "strangers")]
    parts += _elsewhere(kept, taught)
    return "\n".join(parts)


def pictures(found: Sequence[Result]) -> dict[str, Any]:
    """Return the figures of the page by their names, which are those in `render`."""
    named = {result.name: result for result in found}
    drawn: dict[str, Any] = {}
    for system in SYSTEMS:
        shown = _shown(system, named)
        if shown.best:
            drawn |= _confusions(system.key, shown.best, system.lines[0].split)
        if shown.learner:
            drawn[f"{system.key}-curves"] = plots.curves(shown.learner.name, _curves(system, shown.learner))
        if shown.ours and "speakers" in shown.ours.scores:
            drawn |= _confusions(shown.ours.name, shown.ours, None)
    return drawn


def _confusions(key: str, result: Result, leaky: str | None) -> dict[str, Any]:
    """Return what is taken for what with speakers apart, with a leaky split, and with the sexes merged."""
    counts = result.scores["speakers"].pooled["confusion"]
    drawn = {f"{key}-strangers": plots.confusion(f"{result.name}: speakers apart", result.labels, counts)}
    if leaky in result.scores:
        found = result.scores[leaky].pooled["confusion"]
        title = f"{result.name}, LEAKY: {LEAKY[leaky]}"
        drawn[f"{key}-leaky"] = plots.confusion(title, result.labels, found)
    if _by_sex(result):
        emotions = confusions.merge_counts(np.array(counts), result.labels, _emotion).tolist()
        labels = sorted({_emotion(label) for label in result.labels})
        drawn[f"{key}-emotions"] = plots.confusion(f"{result.name}: speakers apart, sexes merged", labels, emotions)
    return drawn


def _shown(system: System, named: Mapping[str, Result]) -> _Shown:
    there = [named[name] for name in system.recipes if name in named]
    learners = [result for result in there if _curves(system, result)]
    return _Shown(there, named.get(system.ours), _best(there), _best(learners))


def _curves(system: System, result: Result) -> dict[str, Mapping[str, Sequence[float]]]:
    """Return the curves of a result with speakers apart and with its authors' split, by a title."""
    leaky = system.lines[0].split
    titles = {"speakers": "speakers apart", leaky: f"leaky: {LEAKY[leaky]}"}
    scores = result.scores
    return {title: scores[split].curves for split, title in titles.items() if split in scores and scores[split].curves}


def _best(there: Sequence[Result]) -> Result | None:
    """Return the system that is best with strangers."""
    scored = [result for result in there if "speakers" in result.scores]
    return max(scored, key=lambda result: result.scores["speakers"].uar, default=None)


def _glance(named: Mapping[str, Result]) -> list[Row]:
    """Return a row for each number that was printed."""
    rows = []
    for system in SYSTEMS:
        for line in system.lines:
            best = _best([named[name] for name in line.recipes if name in named])
            ours = named.get(system.ours)
            as_theirs = _as(ours, best) if ours and best else None
            rows.append(
                {
                    "system": line.title,
                    "printed": line.printed,
                    "its split": LEAKY[line.split] if line.told else "not told",
                    "best re-run here": best.name if best else "not run yet",
                    "its accuracy, leaky": _accuracy(best, line.split),
                    "its accuracy, speakers apart": _accuracy(best, "speakers"),
                    "its UAR, speakers apart": _spread(best.scores["speakers"].uars) if best else "",
                    "our UAR, speakers apart": _spread(as_theirs.uars) if as_theirs else "",
                }
            )
    return rows


def _accuracy(result: Result | None, split: str) -> str:
    if result is None or split not in result.scores:
        return ""
    return f"{result.scores[split].mean('accuracy'):.1%}"


def _system(system: System, shown: _Shown, latencies: Mapping[str, Latency], pictures: str) -> list[str]:
    missing = [name for name in system.recipes if name not in {result.name for result in shown.there}]
    parts = [f"## {system.title}\n", _text(f"Printed: {system.printed}."), _text(system.wrong)]
    rows = [_row(result, latencies) for result in shown.there] + _our_rows(shown, latencies)
    if rows:
        parts.append(table(rows))
    if missing:
        parts.append(_text(f"Not run yet: {', '.join(f'`{name}`' for name in missing)}."))
    if sexes := [row for result in (*shown.there, shown.ours) if result and (row := _sexes(result, system))]:
        parts += [f"### Women and men, and {len(sexes[0][1])} emotions with the sexes merged\n", _text(SEXES)]
        parts.append(table([row for row, _ in sexes]))
    if shown.best:
        best, leaky = shown.best, system.lines[0].split
        parts += [f"### What {best.name} hears of strangers\n", *_classes(best, leaky)]
        parts.append(_picture(pictures, system.key, "strangers"))
        if leaky in best.scores:
            parts.append(_picture(pictures, system.key, "leaky"))
        if _by_sex(best):
            parts.append(_picture(pictures, system.key, "emotions"))
    if shown.learner:
        parts += [f"### How {shown.learner.name} learns\n", _text(CURVES), _picture(pictures, system.key, "curves")]
    return parts


SEXES = (
    "An answer counts as its emotion, whatever sex it names. *Sex right* is the share of answers that name the "
    "speaker's sex. Women and men: the UAR of the emotions in their clips, speakers apart."
)
CURVES = (
    "Means over the folds. With speakers apart, the clips that it does not train on are another block of speakers; "
    "with a leaky split, a tenth of the clips at random."
)
TITLES = {
    "strangers": "What is taken for what, speakers apart",
    "leaky": "What is taken for what with the leaky split",
    "emotions": "What is taken for what, speakers apart, the sexes merged",
    "curves": "Loss and accuracy after each epoch",
}


def _picture(pictures: str, key: str, kind: str) -> str:
    return f"![{TITLES[kind]}]({pictures}/{key}-{kind}.png)\n"


def _row(result: Result, latencies: Mapping[str, Latency], title: str = "") -> Row:
    scores = result.scores
    apart = scores.get("speakers")
    return {
        "system": f"{title}{result.name}",
        "recordings": _recordings(result),
        "classes": str(len(result.labels)),
        **{f"leaky, {words}": f"{scores[split].uar:.1%}" if split in scores else "" for split, words in LEAKY.items()},
        "speakers apart": _spread(apart.uars) if apart else "",
        "folds": _folds(result, apart) if apart else "",
        "accuracy": f"{apart.mean('accuracy'):.1%}" if apart else "",
        "parameters": f"{result.parameters:,}" if result.parameters else "",
        "bytes": f"{result.bytes:,}" if result.bytes else "",
        "ms": f"{latencies[result.name].ms:.1f}" if result.name in latencies else "",
    }


def _our_rows(shown: _Shown, latencies: Mapping[str, Latency]) -> list[Row]:
    """Return the row of ours, and one for each other set of classes, with its answers merged into these."""
    ours = shown.ours
    if ours is None:
        return []
    plain = _row(ours, latencies, "ours, ")
    rows = {ours.labels: plain}
    for peer in shown.there:
        if peer.labels in rows or (found := _as(ours, peer)) is None:
            continue
        rows[peer.labels] = {
            **plain,
            "system": f"{plain['system']}, its answers merged",
            "classes": str(len(found.labels)),
            **dict.fromkeys((f"leaky, {words}" for words in LEAKY.values()), ""),
            "speakers apart": _spread(found.uars),
            "accuracy": f"{confusions.accuracy(found.counts):.1%}",
        }
    return list(rows.values())


def _as(ours: Result, peer: Result) -> Merged | None:
    """Return our scores for a peer's labels; None if ours cannot be merged into these."""
    told = peer.recipe["merged"] if peer.recipe else {}
    if "speakers" not in ours.scores or {told.get(label, label) for label in ours.labels} != set(peer.labels):
        return None
    return confusions.merged(ours.scores["speakers"], ours.labels, lambda label: told.get(label, label))


def _recordings(result: Result) -> str:
    names = result.recipe["corpora"] if result.recipe else ()
    return ", ".join(CORPORA[name].title if name in CORPORA else name for name in names)


def _folds(result: Result, apart: Score) -> str:
    """Return how many folds were run; which ones, if the corpora have more."""
    names = result.recipe["corpora"] if result.recipe else ()
    every = max((len(CORPORA[name].blocks) for name in names if name in CORPORA), default=0)
    ran = len(apart.blocks)
    return str(ran) if ran >= every else f"{', '.join(map(str, apart.blocks))} of {every}"


def _spread(uars: Sequence[float]) -> str:
    deviation = f" ± {np.std(uars, ddof=1):.1%}" if len(uars) > 1 else ""
    return f"{np.mean(uars):.1%}{deviation}"


def _by_sex(result: Result) -> bool:
    return bool(result.recipe and result.recipe.get("by_sex"))


def _emotion(label: str) -> str:
    return label.partition("_")[2]


def _sex(label: str) -> str:
    return label.partition("_")[0]


def _sexes(result: Result, system: System) -> tuple[Row, tuple[str, ...]] | None:
    """Return what a system of classes by sex is worth with the sexes merged and for each sex, and its emotions."""
    apart, split = result.scores.get("speakers"), system.lines[0].split
    if not _by_sex(result) or apart is None:
        return None
    if (emotions := confusions.merged(apart, result.labels, _emotion)) is None:
        return None
    leaky = confusions.merged(result.scores[split], result.labels, _emotion) if split in result.scores else None
    counts = np.array(apart.pooled["confusion"])
    by_sex = {
        sex: confusions.merge_counts(
            counts * np.array([[_sex(label) == sex] for label in result.labels]), result.labels, _emotion
        )
        for sex in ("F", "M")
    }
    return {
        "system": result.name,
        f"{len(result.labels)} classes": _spread(apart.uars),
        f"{len(emotions.labels)} emotions": _spread(emotions.uars),
        f"{len(emotions.labels)} emotions, leaky": f"{leaky.uar:.1%}" if leaky else "",
        "sex right": f"{confusions.accuracy(confusions.merge_counts(counts, result.labels, _sex)):.1%}",
        "women": f"{confusions.uar(by_sex['F']):.1%}",
        "men": f"{confusions.uar(by_sex['M']):.1%}",
    }, emotions.labels


def _classes(result: Result, leaky: str | None) -> list[str]:
    """Return the report for each class, with the recalls of a leaky split beside it."""
    beside = {}
    if leaky in result.scores:
        beside["recall, leaky"] = np.array(result.scores[leaky].pooled["confusion"])
    return [
        table(confusions.report(result.labels, np.array(result.scores["speakers"].pooled["confusion"]), beside)),
    ]


def _text(words: str) -> str:
    return textwrap.fill(words, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"


def _elsewhere(kept: Mapping[str, Mapping[str, Elsewhere]], taught: Mapping[str, str]) -> list[str]:
    """Return a table for each set of labels: models trained on one corpus or some, heard on each."""
    labels = {model: tuple(next(iter(found.values())).recall) for model, found in kept.items() if found}
    parts = []
    for known in sorted(set(labels.values()), key=len):
        models = sorted((model for model in labels if labels[model] == known), key=lambda model: _first(kept[model]))
        rows = [_heard(model, kept[model], taught) for model in models]
        parts += [f"### {', '.join(known)}\n", table(rows)]
    return ["## From one corpus to another\n", _text(MATRIX), *parts] if parts else []


MATRIX = (
    "Each model on corpora that it did not learn from: UAR as it is → after a device has heard 100 windows of the same "
    "voice there, 70 % of them neutral (its [baseline](decisions/baseline.md)). *In italics*: a corpus that taught it, "
    "by cross-validation, without a baseline. Models named after a corpus learned from that one alone, from random "
    "weights: `moodwire train emodb-three --release`, then `moodwire evaluate --write --bundle "
    "runs/emodb-three-1-…/bundle`. The others are shipped; nothing that learned from RAVDESS is."
)


def _heard(model: str, found: Mapping[str, Elsewhere], taught: Mapping[str, str]) -> Row:
    """Return what a model is worth on each corpus, as a row."""
    cells = {}
    for name, corpus in SCORED.items():
        if corpus.voices:  # the same speakers as in another corpus
            continue
        row = found.get(name)
        cold = f"{row.uar:.1%}" if row else ""
        warm = f" → {row.after_baseline.uar:.1%}" if row and row.after_baseline else ""
        cells[f"heard on {corpus.title}"] = f"*{cold}*" if row and row.own else cold + warm
    own = " and ".join(corpus.title for name, corpus in SCORED.items() if name in found and found[name].own)
    return {"trained on": taught.get(model, own), "model": model, **cells}


def _first(found: Mapping[str, Elsewhere]) -> list[int]:
    """Sort models by what taught them, in the catalogue's order."""
    return [place for place, name in enumerate(SCORED) if name in found and found[name].own]
