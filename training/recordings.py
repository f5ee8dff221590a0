"""The clips that a recipe learns from: of one corpus or of several together, with the recipe's labels."""

import sys
from pathlib import Path

import msgspec

from training import catalogue, folders
from training.catalogue import CORPORA, OWN, Voice
from training.corpora import SEXES, UNKNOWN, Clip, CorpusError
from training.recipe import Recipe


def read(plan: Recipe, recordings_dir: Path) -> list[Clip]:
    """Return the clips that a recipe learns from, corpus by corpus, with its labels; print what is passed over.

    Raises:
        CorpusError: recordings are missing or cannot be read, or no clip has one of the labels.
    """
    wanted = {label.partition("_")[2] if plan.by_sex else label for label in plan.clip_labels}
    clips: list[Clip] = []
    known: set[str] = set()
    own: list[str] = []
    for name in plan.corpora:
        there = labels_of(name)
        known |= set(there)
        labels = tuple(label for label in there if plan.merged.get(label, label) in wanted)
        if name in CORPORA:
            found = catalogue.read(name, recordings_dir, labels) if labels else []
        else:
            found = _own(Path(name), labels or tuple(sorted(wanted)), own)
        clips += [msgspec.structs.replace(clip, label=_label(clip, plan), corpus=name) for clip in found]
    if unknown := sorted(set(plan.merged) - known):
        raise CorpusError(
            f"merged names {unknown[0]}, which is no label of {', '.join(plan.corpora)}: "
            f"give some of {', '.join(sorted(known))}"
        )
    clips = [clip for clip in clips if clip.label in plan.clip_labels]  # with labels by sex, one sex may be left out
    if missing := [label for label in plan.clip_labels if not any(clip.label == label for clip in clips)]:
        raise CorpusError(
            f"no clip of {', '.join(plan.corpora)} has the label {missing[0]}: their labels are "
            f"{', '.join(sorted(known))}; choose some of them, or map them with merged"
        )
    return clips


def labels_of(name: str) -> tuple[str, ...]:
    """Return the labels of a known corpus, or of recordings of one's own.

    Raises:
        CorpusError: there is no such corpus.
    """
    return CORPORA[name].labels if name in CORPORA else folders.labels_of(Path(name))


def _label(clip: Clip, plan: Recipe) -> str:
    label = plan.merged.get(clip.label, clip.label)
    if not plan.by_sex:
        return label
    for prefix, sex in SEXES.items():
        if clip.sex == sex:
            return f"{prefix}_{label}"
    raise CorpusError(
        f"{clip.path} has a label by sex, and who speaks is not known: give a table with a column sex, F or M"
    )


def _own(place: Path, labels: tuple[str, ...], speakers: list[str]) -> list[Clip]:
    """Return recordings of one's own; `speakers` gets the names of those who are no actors. One name is one person."""
    found = folders.read(place, labels)
    for sentence in found.passed_over:
        print(f"moodwire train: {sentence}", file=sys.stderr)
    numbers = {UNKNOWN: UNKNOWN}
    for place_in_list, speaker in enumerate(found.speakers, 1):
        if isinstance(speaker, Voice):
            numbers[place_in_list] = catalogue.number(speaker)
        else:
            if speaker not in speakers:
                speakers.append(speaker)
            numbers[place_in_list] = OWN + 1 + speakers.index(speaker)
    return [msgspec.structs.replace(clip, speaker=numbers[clip.speaker]) for clip in found.clips]
