"""The model card, written from the manifest, so that no number in it is typed by hand (Mitchell et al. 2019)."""

from typing import Any

import msgspec

from common.notice import LAW
from models.bundle import Manifest
from training import catalogue, corpora, elsewhere
from training.backgrounds import BACKGROUNDS, NOISES
from training.results import Elsewhere
from training.splits import RELEASE
from training.tables import table


def render(manifest: Manifest) -> str:
    """Return the text of CARD.md."""
    measured = manifest.measured
    parts = [
        _what(manifest, measured),
        _use(),
        _data(manifest, measured),
        _results(manifest, measured),
        _elsewhere(manifest),
        hardship(measured) if "uar_in_noise" in measured else "",
        _folds(measured["cross_validation"]) if "cross_validation" in measured else "",
        _limits(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(manifest: Manifest, measured: dict[str, Any]) -> str:
    front_end = manifest.front_end
    teachers = f", taught by {measured['teachers']}," if measured["teachers"] else ""
    return f"""# {manifest.name}

A {measured["architecture"]}{teachers} that says which of these a voice portrays:
{_names(manifest.labels)}.
It hears {manifest.window_ms / 1000:g} s of speech at {front_end.sample_rate_hz / 1000:g} kHz as \
{manifest.window_frames} frames of {front_end.n_mels} log-mel bands, every {manifest.hop_ms / 1000:g} s.
{_numbers(measured)}, {manifest.sparsity:.0%} of the weights are pruned.

| file | size |
|---|---|
| model.tflite | {measured["bytes"]:,} bytes |
| compressed (deflate) | {measured["bytes_deflated"]:,} bytes |
| parameters | {measured["parameters"]:,} |"""


def _numbers(measured: dict[str, Any]) -> str:
    if measured.get("four_bits"):
        return "Weights of pointwise convolutions are int4, other weights and activations int8"
    return f"Weights and activations are {'int8' if measured['integer'] else 'float32'}"


def _use() -> str:
    return f"""## Use

For people who want to see the mood that a voice portrays in their own rooms, with the knowledge and the consent of
everyone who is heard, and for teaching and research.

{LAW}

Not for any decision about a person."""


def _data(manifest: Manifest, measured: dict[str, Any]) -> str:
    speakers, clips = measured["speakers"], measured["clips"]
    further = [corpora.name(label) for label in measured["heard"] if label not in manifest.labels]
    classes = f"these classes, and of {', '.join(further)} for training" if further else "these classes"
    votes = " In training it also learned what people heard in the voice alone." if measured.get("votes") else ""
    counted = " and of their votes" if votes else ""
    rows = "\n".join(
        f"| {title} | {_numbers_of(speakers[part])} | {len(speakers[part])} | {clips[part]:,} |"
        for title, part in (("trained on", "train"), ("scored on", "test"))
        if clips[part]
    )
    return f"""## Data

{_sources(manifest, classes)}{votes}

| | actors | speakers | clips |
|---|---|---|---|
{rows}

sha256 of the list of training recordings{counted}: `{manifest.data_sha256}`; of the recipe: \
`{manifest.recipe_sha256}`."""


def _sources(manifest: Manifest, classes: str) -> str:
    """Return whose recordings taught the model, and on what terms."""
    if catalogue.taught(manifest) == (catalogue.TAUGHT_BY,):
        return f"""CREMA-D, the clips of {classes}: Cao, Cooper, Keutmann, Gur, Nenkova and Verma, "CREMA-D:
Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Transactions on Affective Computing 5(4), 2014. Open Database
License 1.0, contents under the Database Contents License 1.0. Clips whose audio stands under two labels are left out."""  # noqa: E501
    told = manifest.measured["corpora"]
    found = []
    for name, terms in told.items():
        cited = f": {catalogue.CORPORA[name].citation}" if name in catalogue.CORPORA else ""
        found.append(
            f"{terms['title']}, the clips of {_of(name, manifest, classes)}{cited}. {_sentence(terms['licence'])}"
        )
    if any(terms["commercial"] is False for terms in told.values()):
        found.append(
            "**This model has learned from recordings whose licence allows no commercial use: use it for none.**"
        )
    if start := manifest.measured.get("start"):
        found.append(f"It began as `{start}`, whose own card names what taught that.")
    return "\n\n".join(found)


def _of(name: str, manifest: Manifest, classes: str) -> str:
    """Return which clips of a corpus these are: where it lacks some of the labels, those that it has."""
    heard = manifest.measured["heard"]
    there = [label for label in heard if name in catalogue.CORPORA and label in catalogue.CORPORA[name].labels]
    return ", ".join(map(corpora.name, there)) if 0 < len(there) < len(heard) else classes


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _results(manifest: Manifest, measured: dict[str, Any]) -> str:
    interval = measured["uar_interval"]
    over_speakers = " (95 % interval {:.1%} to {:.1%}, over speakers)".format(*interval) if interval else ""
    compared = " on CREMA-D, as all that follows" if "CREMA-D" in measured.get("uar_by_corpus", {}) else ""
    by_background = measured["uar_by_background"]
    worst = min(by_background, key=by_background.get)
    backgrounds = "\n".join(f"| {BACKGROUNDS[name].title} | {value:.1%} |" for name, value in by_background.items())
    unheard = {
        "leaky": "Results on clips it never heard",
        RELEASE: "Results of the recipe on speakers that its models never heard",
    }
    return f"""## {unheard.get(measured["split"], "Results on speakers it never heard")}

{measured["protocol"]}

| | |
|---|---|
| unweighted average recall (UAR){compared} | **{measured["uar"]:.1%}**{over_speakers} |
| the worst background | {by_background[worst]:.1%}, {BACKGROUNDS[worst].title} |
| the same before quantisation | {measured["float_uar"]:.1%} |
| accuracy | {measured["accuracy"]:.1%} |
| macro F1 | {measured["macro_f1"]:.1%} |
| expected calibration error | {measured["ece"]:.3f} |
{_groups(measured)}{_training_clips(measured)}{_listeners(measured["listeners"])}

{_certain(manifest, measured["sure"])}

{confusion(manifest, measured)}

| beside the clip | UAR |
|---|---|
{backgrounds}

The model was trained amid noise made in another way, none of it hum."""


def _groups(measured: dict[str, Any]) -> str:
    """Return a row for each way in which clips were told apart."""
    titles = {
        "uar_by_corpus": "corpus",
        "uar_by_sex": "sex of the speaker",
        "uar_by_age": "age of the speaker",
        "uar_by_intensity": "intensity that was asked for (XX: none was named)",
    }
    told = {title: measured[key] for key, title in titles.items() if key in measured}
    rows = [
        f"| UAR by {title} | {', '.join(f'{_word(group)} {values[group]:.1%}' for group in sorted(values))} |"
        for title, values in told.items()
    ]
    return "\n".join(rows)


def _training_clips(measured: dict[str, Any]) -> str:
    if "uar_of_training_clips" not in measured:
        return ""
    uar = measured["uar_of_training_clips"]
    return f"\n| UAR of this file on the very clips that taught it, no measure for others | {uar:.1%} |"


def _word(group: str) -> str:
    return group.lower() if group.istitle() else group


def _certain(manifest: Manifest, sure: dict[str, Any]) -> str:
    if manifest.uncertain_below == 0:
        return "It is not calibrated, which takes a cross-validation: nothing is `uncertain`."
    accuracy = "" if sure["accuracy"] is None else f" and are right in {sure['accuracy']:.1%}"
    return f"""Windows with a top probability of at least {manifest.uncertain_below:g} are {sure["share"]:.1%} of \
all{accuracy};
the others are `uncertain`. This threshold and the temperature come from what the models with other blocks held out say
to those."""


def confusion(manifest: Manifest, measured: dict[str, Any]) -> str:
    """Return the table of what is taken for what."""
    recall = "\n".join(
        f"| {label} | {measured['recall'][label]:.1%} | {' | '.join(str(count) for count in row)} |"
        for label, row in zip(manifest.labels, measured["confusion"], strict=True)
    )
    return f"""| portrayed | recall | {" | ".join(f"heard as {label}" for label in manifest.labels)} |
|---|---|{"---|" * len(manifest.labels)}
{recall}"""


def hardship(measured: dict[str, Any]) -> str:
    """Return what louder noise and echo cost, and what leaving out unsure windows gains."""
    coverage = "\n".join(
        f"| {float(share):.0%} | {value:.1%} |" for share, value in measured["uar_by_coverage"].items()
    )
    noise = "\n".join(f"| {NOISES[name].title} | {value:.1%} |" for name, value in measured["uar_in_noise"].items())
    return f"""## Where it is worse, and where better

Answering only the windows of which it is surest:

| answered | UAR of these |
|---|---|
{coverage}

Amid what it was neither trained nor calibrated with:

| under the clip | UAR |
|---|---|
{noise}{_best_and_worst(measured["uar_by_speaker"])}"""


def _best_and_worst(by_speaker: dict[str, float]) -> str:
    if not by_speaker:
        return ""
    worst = min(by_speaker, key=by_speaker.__getitem__)
    best = max(by_speaker, key=by_speaker.__getitem__)
    return (
        f"\n\nOf the speakers, actor {worst} is understood worst ({by_speaker[worst]:.1%}) and actor {best} best "
        f"({by_speaker[best]:.1%})."
    )


def _elsewhere(manifest: Manifest) -> str:
    rows = [elsewhere.row(name, found) for name, found in _others(manifest).items()]
    if not rows:
        return ""
    return f"""## Voices and rooms it was not made with

Recordings that had no part in its training, and to which nothing was tuned; those of emotions that it has no label for
are left out. Expect such figures from people and rooms of your own, not those of its own corpus.

{table(rows)}
*Answered* is the share of windows that are not `uncertain`, *right of these* the accuracy of these. The columns after
a baseline say what a device makes of them that has heard 100 windows of the same voice, 70 % of them neutral; *its
worst mix* is that of 50 to 90 %. `moodwire evaluate` repeats the measurement, also on recordings of your own."""


def _others(manifest: Manifest) -> dict[str, Elsewhere]:
    """Return what the model is worth on corpora that had no part in its training."""
    kept = msgspec.convert(manifest.measured.get("elsewhere", {}), dict[str, Elsewhere])
    return elsewhere.others(kept, manifest)


def _listeners(listeners: dict[str, Any] | None) -> str:
    if listeners is None:
        return ""
    return (
        f"\n| people who heard the same clips, {listeners['votes']:,} votes for one of the labels | "
        f"UAR {listeners['uar']:.1%}, accuracy {listeners['accuracy']:.1%} |"
    )


def _folds(cross_validation: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {fold['speakers']} | {fold['uar']:.1%} | {fold['float_uar']:.1%} |" for fold in cross_validation["folds"]
    )
    return f"""## The recipe with other speakers held out

Each block of speakers is held out in turn, and {_models(cross_validation)} trained on the others. Mean UAR of the int8
files {cross_validation["uar"]:.1%}, standard deviation over the blocks {cross_validation["uar_deviation"]:.1%};
mean accuracy {cross_validation["accuracy"]:.1%}. Recipes are compared on the first two
blocks and the last, which flatters these a little.

| speakers held out | UAR, int8 | UAR, float |
|---|---|---|
{rows}"""


def _models(cross_validation: dict[str, Any]) -> str:
    seeds = len(cross_validation["folds"][0]["uar_of_seeds"])
    return "a new model is" if seeds == 1 else f"{seeds} new models are"


def _limits(manifest: Manifest) -> str:
    measured = manifest.measured
    listeners = measured["listeners"]
    agreement = (
        "" if listeners is None else f" People agree with the actors' label in {listeners['accuracy']:.1%} of votes."
    )
    return f"""## What it does not know

- {_taught(manifest)}{agreement}
- {_heard_only(manifest)}
{_strange_rooms(manifest)}\
- It has no class for anything but the labels above: noise, music and other emotions get one of them too.
- A clear voice near the microphone is assumed: what louder noise and echoes cost stands above, far speech was not
  measured.
- A device's windows slide over speech. Those that hold a part of an utterance score lower than these."""


def _taught(manifest: Manifest) -> str:
    if any(name in catalogue.CORPORA for name in catalogue.taught(manifest)):
        return "It was taught by actors. It hears emotion as portrayed, not as felt."
    return "It was taught by recordings of one's own, and knows of a label what these have in common."


def _heard_only(manifest: Manifest) -> str:
    taught = catalogue.taught(manifest)
    if taught == (catalogue.TAUGHT_BY,):
        return (
            "English only, twelve fixed sentences, adult actors, recordings with about the same background in all of "
            "them."
        )
    known = [catalogue.CORPORA[name].languages for name in taught if name in catalogue.CORPORA]
    languages = list(dict.fromkeys(language for of_corpus in known for language in of_corpus))
    spoken = f"{corpora.listed(languages)} only, " if languages else ""
    return _sentence(f"{spoken}the voices, sentences and rooms of these recordings")


def _strange_rooms(manifest: Manifest) -> str:
    """Return what other voices, rooms and microphones do to neutral speech."""
    found = [row.recall["NEU"] for row in _others(manifest).values() if "NEU" in row.recall]
    if not found:
        return ""
    mostly = "mostly" if max(found) < 0.5 else "often"
    parts = " and ".join(f"{part:.0%}" for part in found)
    return (
        f"- Other voices, rooms and microphones. Neutral speech is found in {parts} of its clips there: an even\n"
        f"  voice is {mostly} given another emotion.\n"
    )


def _names(labels: tuple[str, ...]) -> str:
    words = [f"{corpora.name(label)} ({label})" for label in labels]
    return corpora.listed(words)


def _numbers_of(speakers: list[int]) -> str:
    """Return who these speakers are by their numbers in each corpus: CREMA-D 1001-1018, EmoDB 3, 8-11."""
    of_corpus: dict[str, list[int]] = {}
    for speaker in speakers:
        voice = catalogue.voice_of(speaker)
        title = catalogue.CORPORA[voice.corpus].title if voice else "own"
        of_corpus.setdefault(title, []).append(voice.speaker if voice else speaker - catalogue.OWN)
    if len(of_corpus) == 1:
        return _ranges(*of_corpus.values())
    return "; ".join(f"{title} {_ranges(numbers)}" for title, numbers in of_corpus.items())


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers with runs shortened: 1-3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
