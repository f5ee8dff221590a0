"""What trainings were worth, in small files that stay when the run folders are gone: one for each recipe.

They hold the recipe, a line for each training, and what is counted over all of them together; no weights and no
recording. `moodwire report` brings them up to date from the run folders and makes its page of them alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models import bundle
from models.bundle import Manifest
from training import evaluate, score
from training.score import Answers
from training.splits import SPLITS

LATENCY = Path(__file__).parent / "results" / "latency.json"
"""Written by `python -m trials.model_latency --write`; by the recipe's name."""
COMMON = 4
"""The block of speakers that every recipe holds out first: on it all can be compared."""
COVERAGES = np.linspace(0.2, 1, 17)


class ResultsError(Exception):
    """A file of results or a run folder is not valid; the text names it, what is wrong and what would be right."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long front end and model take for one window on one thread."""

    ms: float
    of_published: float
    """In proportion to the rebuilt published network with librosa, measured in turns."""


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """One training of a recipe."""

    block: int
    seed: int
    uar: float
    accuracy: float
    speakers: int | None = None
    """How many taught it."""
    minutes: float | None = None
    float_uar: float | None = None
    """Before quantisation."""
    uar_in_noise: dict[str, float] = {}
    listeners: dict[str, Any] | None = None
    """What people said to the clips that were scored."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe is worth under one split."""

    trainings: tuple[Training, ...]
    pooled: dict[str, Any]
    """What `score.describe` counts over the answers of all trainings."""
    reliability: tuple[evaluate.Bin, ...]
    uar_by_coverage: tuple[tuple[float, float], ...]
    """Share of the windows answered, the surest first, and the UAR of these."""

    @property
    def uars(self) -> list[float]:
        """UAR of each block, seeds averaged first."""
        blocks = sorted({training.block for training in self.trainings})
        return [float(np.mean([one.uar for one in self.trainings if one.block == block])) for block in blocks]

    @property
    def uar(self) -> float:
        """Mean over the blocks."""
        return float(np.mean(self.uars))

    def of_block(self, block: int) -> float | None:
        """Return the UAR of one block, seeds averaged; None where it was not held out."""
        uars = [training.uar for training in self.trainings if training.block == block]
        return float(np.mean(uars)) if uars else None

    def mean(self, name: str) -> float | None:
        """Return the mean over the trainings of what each tells; None where one tells nothing."""
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
    """All that is kept of one recipe, or of a peer that has none."""

    name: str
    labels: tuple[str, ...]
    scores: dict[str, Score]
    """By split, a key of `SPLITS`."""
    told: dict[str, Any] | None = None
    """The recipe."""
    about: str = ""
    """What a reader must know of a peer without a recipe."""
    parameters: int | None = None
    sparsity: float | None = None
    """Share of the weights that are pruned."""
    multiply_adds: int | None = None
    bytes: int | None = None
    bytes_deflated: int | None = None


class Run(NamedTuple):
    """One finished training."""

    training: Training
    answers: Answers
    manifest: Manifest
    model: bytes
    told: dict[str, Any]


def read(folder: Path) -> dict[str, Result]:
    """Return the results that are kept, by name of their file.

    Raises:
        ResultsError: a file is not valid.
    """
    files = [file for file in sorted(folder.glob("*.json")) if file.name != LATENCY.name]
    return {file.stem: _decode(file, Result) for file in files}


def read_latencies(folder: Path) -> dict[str, Latency]:
    """Return how long each recipe's model takes, by the recipe's name; nothing where it was not measured.

    Raises:
        ResultsError: the file is not valid.
    """
    file = folder / LATENCY.name
    return _decode(file, dict[str, Latency]) if file.is_file() else {}


def write(folder: Path, stem: str, result: Result) -> None:
    """Keep a result."""
    folder.mkdir(parents=True, exist_ok=True)
    rounded = {**_rounded(msgspec.to_builtins(result)), "told": result.told}
    (folder / f"{stem}.json").write_bytes(msgspec.json.format(msgspec.json.encode(rounded), indent=1) + b"\n")


def of_runs(folder: Path) -> Result | None:
    """Return what the trainings in a recipe's run folder were worth; None where none is finished.

    Raises:
        ResultsError: a run is of another recipe than its neighbours, or cannot be read.
        BundleError: a bundle or its answers cannot be read.
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
        told=first.told,
        scores={
            split: summary([run.training for run in of_split], [run.answers for run in of_split], first.manifest.labels)
            for split, of_split in runs.items()
            if of_split
        },
        parameters=measured["parameters"],
        sparsity=float(np.mean([run.manifest.sparsity for run in every])),
        multiply_adds=size.multiply_adds(first.model),
        bytes=round(np.mean([run.manifest.measured["bytes"] for run in every])),
        bytes_deflated=round(np.mean([run.manifest.measured["bytes_deflated"] for run in every])),
    )


def summary(trainings: Sequence[Training], answers: Sequence[Answers], labels: tuple[str, ...]) -> Score:
    """Return what is counted over all trainings together."""
    pooled = score.pool(answers)
    scores, truth = pooled.scores, pooled.truth
    return Score(
        trainings=tuple(trainings),
        pooled=score.describe(pooled, labels),
        reliability=tuple(evaluate.reliability(scores, truth)),
        uar_by_coverage=tuple(
            (float(share), evaluate.uar_of_surest(scores, truth, float(share))) for share in COVERAGES
        ),
    )


def newest(kept: Result | None, found: Result) -> Result:
    """Return what was found, with every split for which the kept result knows trainings that were not found."""
    if kept is None:
        return found
    scores = dict(found.scores)
    for split, old in kept.scores.items():
        new = scores.get(split)
        if new is None or not _which(old) <= _which(new):
            scores[split] = old
    return msgspec.structs.replace(found, scores={split: scores[split] for split in SPLITS if split in scores})


def _which(of: Score) -> set[tuple[int, int]]:
    return {(training.block, training.seed) for training in of.trainings}


def _runs(folder: Path, split: str) -> Iterator[Run]:
    for place in sorted(folder.glob(f"{SPLITS[split]}-*-seed-*")):
        if (place / "manifest.json").is_file():
            _, block, _, seed = place.name.split("-")
            made = bundle.load(place)
            measured = made.manifest.measured
            training = Training(
                block=int(block),
                seed=int(seed),
                uar=measured["uar"],
                accuracy=measured["accuracy"],
                speakers=len(measured["speakers"]["train"]),
                minutes=_minutes(place / "curves.jsonl"),
                float_uar=measured["float_uar"],
                uar_in_noise=measured.get("uar_in_noise", {}),
                listeners=measured["listeners"],
            )
            answers = score.calibrated(score.load(place), made.manifest.temperature)
            yield Run(training, answers, made.manifest, made.model, _told(place / "config.json"))


def _minutes(curves: Path) -> float | None:
    """Return how long a training took; None where its curves were not kept."""
    if not curves.is_file():
        return None
    return sum(float(msgspec.json.decode(line)["seconds"]) for line in curves.read_bytes().splitlines()) / 60


def _told(file: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = msgspec.json.decode(file.read_bytes())["recipe"]
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise ResultsError(f"{file} tells no recipe: {error}; train again") from error
    return told


def _decode(file: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise ResultsError(f"{file} is not a file of results: {error}; `moodwire report` writes it") from error


def _rounded(tree: Any) -> Any:
    """Return the same with five decimals: more is noise, and makes large files."""
    if isinstance(tree, dict):
        return {name: _rounded(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_rounded(value) for value in tree]
    return round(tree, 5) if isinstance(tree, float) else tree
