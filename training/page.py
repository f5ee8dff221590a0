"""The page that `moodwire evaluate` prints of recordings of which the bundle has no card."""

from typing import Any

from models.bundle import Bundle
from training import card, catalogue, elsewhere, strangers
from training.backgrounds import FLOORS
from training.catalogue import CORPORA
from training.results import AfterBaseline, InFloor, Level
from training.strangers import Recordings
from training.tables import table


def render(made: Bundle, found: Recordings, scores: dict[str, Any]) -> str:
    """Return the page.

    Args:
        made: the bundle.
        found: the recordings.
        scores: what `score.measure` returns for them, with those of `elsewhere.in_floors` and `elsewhere.levels`.
    """
    manifest = made.manifest
    by_speaker = {found.name(speaker): uar for speaker, uar in scores["uar_by_speaker"].items()}
    parts = [
        f"# {manifest.name} on {found.title}",
        _about(made, found),
        _figures(scores, manifest.uncertain_below),
        card.confusion(manifest, scores),
        card.hardship({**scores, "uar_by_speaker": by_speaker if len(by_speaker) > 1 else {}}),
        _in_floors(scores["in_floors"]),
        _levels(scores["levels"]),
    ]
    return "\n\n".join(parts)


def _about(made: Bundle, found: Recordings) -> str:
    corpus = CORPORA.get(found.corpus)
    sentences = [strangers.who(found, made)]
    if corpus:
        left_out = f" Left out: {corpus.left_out}, for which no model has a label." if corpus.left_out else ""
        sentences += [f"{', '.join(corpus.languages)}.{left_out}"]
    if found.passed_over:
        sentences += [f"Passed over: {len(found.passed_over)} of the files."]
    if corpus and catalogue.is_own(found.corpus, made.manifest):
        tuned = "Other speakers of the same recordings trained this model."
    else:
        tuned = "Nothing is tuned to these recordings."
    sentences += [f"{tuned} Each clip is heard in the middle of a window, once amid each background."]
    return "\n".join(sentences)


def _figures(scores: dict[str, Any], threshold: float) -> str:
    interval = scores["uar_interval"] if len(scores["uar_by_speaker"]) > 1 else None
    over_speakers = "" if interval is None else " (95 % interval {:.1%} to {:.1%}, over speakers)".format(*interval)
    sure = scores["sure"]
    right = "" if sure["accuracy"] is None else f", of these right {sure['accuracy']:.1%}"
    groups = [
        f"| UAR, {group.lower()} | {value:.1%} |"
        for key in ("uar_by_sex", "uar_by_intensity", "uar_by_sentence")
        for group, value in scores[key].items()
        if len(scores[key]) > 1
    ]
    rows = [
        "| | |",
        "|---|---|",
        f"| unweighted average recall (UAR) | **{scores['uar']:.1%}**{over_speakers} |",
        f"| accuracy | {scores['accuracy']:.1%} |",
        f"| macro F1 | {scores['macro_f1']:.1%} |",
        f"| expected calibration error | {scores['ece']:.3f} |",
        *_after_baseline(scores["after_baseline"]),
        f"| answered: top probability at least {threshold:g} | {sure['share']:.1%} of the windows{right} |",
    ]
    return "\n".join(rows + groups)


def _after_baseline(found: AfterBaseline | None) -> list[str]:
    if found is None:
        return []
    return [
        f"| UAR after 100 heard windows of the same voice, 70 % of them neutral | {found.uar:.1%} |",
        f"| the same, the worst of 50 to 90 % | {found.worst_uar:.1%} |",
        f"| expected calibration error then | {found.ece:.3f} |",
    ]


def _in_floors(found: dict[str, InFloor]) -> str:
    rows = [
        {
            "under every clip": FLOORS[name].title,
            "UAR": f"{scores.uar:.1%}",
            "recall": elsewhere.recalls(scores.recall),
        }
        for name, scores in found.items()
    ]
    return f"The same noise under every clip, however loud the clip is:\n\n{table(rows)}".rstrip()


def _levels(found: dict[str, Level]) -> str:
    rows = [elsewhere.level_row(label, level) for label, level in found.items()]
    return f"How loud the clips are, dBFS:\n\n{table(rows)}"
