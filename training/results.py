"""Results: one small file for each recipe, which stays when the run folders are gone.

It holds the recipe, the scores of each training, and metrics over all of them together; no weights and no recordings.
`moodwire report` brings the files up to date from the run folders and makes its page of them alone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from common import files
from common.decoding import JSON_ERRORS
from models import bundle
from models.bundle import Manifest
from training import evaluate, score
from training.score import Predictions
from training.splits import SPLITS

LATENCY = Path(__file__).parent / "results" / "latency.json"
"""Latencies by the recipe's name; `python -m trials.model_latency --write` writes it."""
ELSEWHERE = "elsewhere.json"
"""File of what models are worth on each corpus, by the model's name; `moodwire evaluate --write` writes it."""
MEASURED = "measured.json"
"""In the run folder of a system that makes no bundle: its figures."""
COMMON = 4
"""The block of speakers that every recipe has held out, so that all can be compared on it."""
COVERAGES = np.linspace(0.2, 1, 17)
CURVES = ("loss", "val_loss", "accuracy", "val_accuracy")
"""What a training may measure after each epoch; `val_`: on clips that it does not train on."""
_NUMBERS = re.compile(rb"\[[-0-9.,e\s]+\]")
"""A list of numbers, which is written in one line."""


class ResultsError(Exception):
    """A file of results or a run folder is not valid; the text names it, what is wrong and what to do."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Time of front end and model for one window on one thread."""

    ms: float
    of_published: float
    """Relative to the rebuilt published network with librosa, measured in turns."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How loud the clips of a label are, medians over the clips, dBFS."""

    speech_dbfs: float
    """RMS of the louder half of a clip's frames."""
    floor_dbfs: float
    """RMS of the quietest tenth of them, digital silence left out."""


class InFloor(msgspec.Struct, frozen=True, kw_only=True):
    """Scores with the same noise under every clip."""

    uar: float
    recall: dict[str, float]


class AfterBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is worth in rooms of one speaker, once a device has heard 100 windows there, 70 % neutral."""

    uar: float
    worst_uar: float
    """Of shares from 50 to 90 %."""
    recall: dict[str, float]
    ece: float
    sure: dict[str, float | None]
    """As in `Elsewhere`."""


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is worth on one corpus, to which nothing was tuned; on one that taught it, by cross-validation."""

    own: bool = False
    """Whether it taught the model."""
    clips: int
    speakers: int
    uar: float
    uar_interval: tuple[float, float]
    """Over the speakers."""
    recall: dict[str, float]
    ece: float
    sure: dict[str, float | None]
    """Share of the windows that are answered at the model's threshold, and the accuracy of these."""
    after_baseline: AfterBaseline | None = None
    in_floors: dict[str, InFloor] = {}
    """By name of the floor, a key of `backgrounds.FLOORS`."""
    levels: dict[str, Level] = {}
    """By label."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """One training of a recipe."""

    block: int
    seed: int
    uar: float
    accuracy: float
    speakers: int | None = None
    """Number of speakers that it was trained on."""
    minutes: float | None = None
    float_uar: float | None = None
    """Before quantisation."""
    uar_in_noise: dict[str, float] = {}
    listeners: dict[str, Any] | None = None
    """Scores of the people who heard the same clips, as `evaluate.listeners` returns them."""
    confusion: tuple[tuple[int, ...], ...] | None = None
    """Rows are the truth, columns the predictions: so that labels can be merged, and spread over the blocks."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of a recipe with one split."""

    trainings: tuple[Training, ...]
    pooled: dict[str, Any]
    """Metrics over the predictions of all trainings, as `score.describe` returns them."""
    reliability: tuple[evaluate.Bin, ...]
    uar_by_coverage: tuple[tuple[float, float], ...]
    """Share of the windows classified, the most confident first, and their UAR."""
    curves: dict[str, tuple[float, ...]] = {}
    """By what was measured after each epoch (loss, accuracy, …): its mean over the trainings."""

    @property
    def uars(self) -> list[float]:
        """UAR of each block, seeds averaged first."""
        return [float(np.mean([one.uar for one in self.trainings if one.block == block])) for block in self.blocks]

    @property
    def blocks(self) -> list[int]:
        """What was held out."""
        return sorted({training.block for training in self.trainings})

    @property
    def uar(self) -> float:
        """Mean over the blocks."""
        return float(np.mean(self.uars))

    def of_block(self, block: int) -> float | None:
        """Return the UAR of one block, seeds averaged; None where it was not held out."""
        uars = [training.uar for training in self.trainings if training.block == block]
        return float(np.mean(uars)) if uars else None

    def mean(self, name: str) -> float | None:
        """Return the mean of a field over the trainings; None where one of them lacks it."""
        return _mean(getattr(training, name) for training in self.trainings)

    def in_noise(self, name: str) -> float | None:
        """Return the mean UAR amid this one of `NOISES`; None where a training was not scored in it."""
        return _mean(training.uar_in_noise.get(name) for training in self.trainings)


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean; None where one value is not known."""
    values = list(values)
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one recipe, or of a peer that has none."""

    name: str
    labels: tuple[str, ...]
    scores: dict[str, Score]
    """By split, a key of `SPLITS`."""
    recipe: dict[str, Any] | None = msgspec.field(default=None, name="told")
    about: str = ""
    """What a peer without a recipe is, for the reader of the page."""
    parameters: int | None = None
    sparsity: float | None = None
    """Share of the weights that are pruned."""
    multiply_adds: int | None = None
    bytes: int | None = None
    bytes_deflated: int | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run folder tells of a system that makes no bundle, with the names that a manifest has for it."""

    name: str
    labels: tuple[str, ...]
    recipe_sha256: str
    data_sha256: str
    measured: dict[str, Any]
    sparsity: float = 0.0


class Run(NamedTuple):
    """One finished training."""

    training: Training
    predictions: Predictions
    manifest: Manifest | Measured
    model: bytes | None
    """The file that a device runs; None if none can."""
    recipe: dict[str, Any]
    curves: list[dict[str, float]]
    """What was measured after each epoch."""


def read(folder: Path) -> dict[str, Result]:
    """Return the results, by the name of their file.

    Raises:
        ResultsError: a file is not valid.
    """
    files = [file for file in sorted(folder.glob("*.json")) if file.name not in {LATENCY.name, ELSEWHERE}]
    return {file.stem: _decode(file, Result) for file in files}


def read_latencies(folder: Path) -> dict[str, Latency]:
    """Return the measured latencies, by the recipe's name.

    Raises:
        ResultsError: the file is not valid.
    """
    file = folder / LATENCY.name
    return _decode(file, dict[str, Latency]) if file.is_file() else {}


def read_elsewhere(folder: Path) -> dict[str, dict[str, Elsewhere]]:
    """Return what models are worth on each corpus, by the model's name and the corpus's key in `catalogue.CORPORA`.

    Raises:
        ResultsError: the file is not valid.
    """
    file = folder / ELSEWHERE
    return _decode(file, dict[str, dict[str, Elsewhere]]) if file.is_file() else {}


def write_elsewhere(folder: Path, model: str, found: dict[str, Elsewhere]) -> None:
    """Add what a model is worth on some corpora to the file, or replace it, numbers with five decimals.

    Raises:
        ResultsError: the file is there and not valid.
    """
    kept = read_elsewhere(folder)
    kept[model] = {**kept.get(model, {}), **found}
    tree = {name: kept[name] for name in sorted(kept)}
    content = msgspec.json.encode(_rounded(msgspec.to_builtins(tree)))
    files.replace(folder / ELSEWHERE, msgspec.json.format(content, indent=1) + b"\n")


def write(folder: Path, stem: str, result: Result) -> None:
    """Write a result to its file, numbers with five decimals."""
    rounded = {**_rounded(msgspec.to_builtins(result)), "told": result.recipe}
    content = msgspec.json.format(msgspec.json.encode(rounded), indent=1)
    files.replace(folder / f"{stem}.json", _NUMBERS.sub(lambda row: b"".join(row[0].split()), content) + b"\n")


def read_runs(folder: Path) -> Result | None:
    """Return the results of the trainings in a recipe's run folder; None where none is finished.

    Raises:
        ResultsError: a run is of another recipe than its neighbours, or cannot be read.
        BundleError: a bundle or its predictions cannot be read.
    """
    from training import size  # noqa: PLC0415 - TensorFlow takes seconds to import; a page needs none

    runs = {split: list(_runs(folder, split)) for split in SPLITS}
    every = [run for of_split in runs.values() for run in of_split]
    if not every:
        return None
    first = every[0]
    if any(run.manifest.recipe_sha256 != first.manifest.recipe_sha256 for run in every):
        raise ResultsError(f"{folder} holds trainings of different recipes: keep each recipe in a folder of its own")
    measured = first.manifest.measured
    return Result(
        name=first.manifest.name,
        labels=first.manifest.labels,
        recipe=first.recipe,
        scores={split: _score(of_split) for split, of_split in runs.items() if of_split},
        parameters=measured["parameters"],
        sparsity=float(np.mean([run.manifest.sparsity for run in every])),
        multiply_adds=size.multiply_adds(first.model) if first.model else None,
        bytes=_mean_size(every, "bytes"),
        bytes_deflated=_mean_size(every, "bytes_deflated"),
    )


def read_measured(folder: Path) -> Measured:
    """Return the figures of a system that makes no bundle.

    Raises:
        ResultsError: the file is not valid.
    """
    found: Measured = _decode(folder / MEASURED, Measured)
    return found


def _mean_size(runs: Sequence[Run], name: str) -> int | None:
    mean = _mean(run.manifest.measured.get(name) for run in runs)
    return None if mean is None else round(mean)


def _score(runs: Sequence[Run]) -> Score:
    labels = runs[0].manifest.labels
    found = summary([run.training for run in runs], [run.predictions for run in runs], labels)
    return msgspec.structs.replace(found, curves=_mean_curves([run.curves for run in runs]))


def _mean_curves(of_runs: Sequence[list[dict[str, float]]]) -> dict[str, tuple[float, ...]]:
    """Return the mean of each measure after each epoch, over the trainings that got so far."""
    found: dict[str, tuple[float, ...]] = {}
    for name in CURVES:
        told = [[epoch[name] for epoch in run if name in epoch] for run in of_runs]
        epochs = zip_longest(*told)
        if means := tuple(float(np.mean([value for value in epoch if value is not None])) for epoch in epochs):
            found[name] = means
    return found


def summary(trainings: Sequence[Training], predictions: Sequence[Predictions], labels: tuple[str, ...]) -> Score:
    """Return the scores of all trainings together."""
    pooled = score.pool(predictions)
    described = score.describe(pooled, labels)
    scores, truth = score.compared(pooled)[:2]
    return Score(
        trainings=tuple(trainings),
        pooled=described,
        reliability=tuple(evaluate.reliability(scores, truth)),
        uar_by_coverage=tuple(
            (float(share), evaluate.uar_of_surest(scores, truth, float(share))) for share in COVERAGES
        ),
    )


def merged(kept: Result | None, found: Result) -> Result:
    """Return the found result, but keep the scores of every split that the kept one has more trainings of."""
    if kept is None:
        return found
    scores = dict(found.scores)
    for split, old in kept.scores.items():
        new = scores.get(split)
        if new is None or not _folds(old) <= _folds(new):
            scores[split] = old
    return msgspec.structs.replace(found, scores={split: scores[split] for split in SPLITS if split in scores})


def _folds(of_split: Score) -> set[tuple[int, int]]:
    return {(training.block, training.seed) for training in of_split.trainings}


def _runs(folder: Path, split: str) -> Iterator[Run]:
    for place in sorted(folder.glob(f"{SPLITS[split]}-*-seed-*")):
        is_bundle = (place / "manifest.json").is_file()
        if not (is_bundle or (place / MEASURED).is_file()):
            continue
        _, block, _, seed = place.name.split("-")
        made = bundle.load(place) if is_bundle else None
        manifest = made.manifest if made else read_measured(place)
        measured = manifest.measured
        curves = _curves(place / "curves.jsonl")
        training = Training(
            block=int(block),
            seed=int(seed),
            uar=measured["uar"],
            accuracy=measured["accuracy"],
            speakers=len(measured["speakers"]["train"]),
            minutes=measured.get("minutes", _minutes(curves)),
            float_uar=measured.get("float_uar"),
            uar_in_noise=measured.get("uar_in_noise", {}),
            listeners=measured.get("listeners"),
            confusion=measured["confusion"],
        )
        predictions = score.calibrated(score.load(place), made.manifest.temperature if made else 1.0)
        model = made.model if made else None
        yield Run(training, predictions, manifest, model, read_recipe(place / "config.json"), curves)


def _curves(file: Path) -> list[dict[str, float]]:
    """Return what a training measured after each epoch; nothing where its curves are missing."""
    if not file.is_file():
        return []
    epochs = [msgspec.json.decode(line, type=dict[str, float]) for line in file.read_bytes().splitlines()]
    return list({epoch["epoch"]: epoch for epoch in epochs}.values())  # a training that went on repeats an epoch


def _minutes(curves: Sequence[dict[str, float]]) -> float | None:
    """Return how long a training took; None where its curves are missing."""
    return sum(epoch["seconds"] for epoch in curves) / 60 if curves else None


def read_recipe(config: Path) -> dict[str, Any]:
    """Return the recipe in a run folder's configuration.

    Raises:
        ResultsError: the file holds none.
    """
    try:
        recipe: dict[str, Any] = msgspec.json.decode(config.read_bytes())["recipe"]
    except (OSError, KeyError, *JSON_ERRORS) as error:
        raise ResultsError(f"{config} holds no recipe: {error}; train again") from error
    return recipe


def _decode(file: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except JSON_ERRORS as error:
        raise ResultsError(f"{file} is not a file of results: {error}; `moodwire report` writes it") from error


def _rounded(tree: Any) -> Any:
    """Return the same with five decimals: more are noise and make large files."""
    if isinstance(tree, dict):
        return {name: _rounded(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_rounded(value) for value in tree]
    return round(tree, 5) if isinstance(tree, float) else tree
