"""What hand-made features and an SVM reach in the same folds: `python -m trials.egemaps [RECIPE] [--write]`.

eGeMAPS (Eyben et al. 2016), 88 functionals of each clip as it was recorded, by openSMILE; a support vector machine
with a radial basis (scikit-learn) on them, its C and the temperature of its scores chosen on the calibration
speakers, scored on the speakers held out; and the same with the leaky split. openSMILE's licence allows research
only, so it is in none of the project's environments: `pip install opensmile` before.

The labels and the folds are those of the recipe. `--write` keeps the figures in `training/results/`, from which
`moodwire report` takes them.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import opensmile
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from models.runtime import softmax
from training import corpora, evaluate, features, recipe, results, score, splits
from training.corpora import Clip
from training.results import LATENCY, Result, Training
from training.score import Answers
from training.splits import Fold, Split

RECIPE = "ang-hap-neu"
RATE_HZ = 16_000
COSTS = (0.1, 1.0, 10.0)
CLEAN = "as recorded"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m trials.egemaps")
    parser.add_argument("recipe", nargs="?", default=RECIPE)
    parser.add_argument("--recordings-dir", type=Path, default=Path("../shared/data"))
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    plan = recipe.load(asked.recipe)
    clips = corpora.read_clips(asked.recordings_dir, plan.labels)
    found = dict(zip((clip.path for clip in clips), functionals(clips), strict=True))
    scores = {}
    for split in ("speakers", "leaky"):
        trainings, answers = [], []
        for block in splits.BLOCKS:
            told, cost = fold(splits.of(clips, Fold(block, 1, split), plan), found, plan.labels)
            said = told.scores.argmax(axis=1)
            uar = evaluate.uar(said, told.truth)
            trainings.append(Training(block=block, seed=1, uar=uar, accuracy=float((said == told.truth).mean())))
            answers.append(told)
            print(f"{split} {block}: UAR {uar:.1%}, C {cost:g}", flush=True)
        scores[split] = results.summary(trainings, answers, plan.labels)
        print(f"{split}: UAR {scores[split].uar:.1%}, ECE {scores[split].pooled['ece']:.3f}")
    if asked.write:
        about = (
            f"eGeMAPS functionals (openSMILE {version('opensmile')}) and an SVM with a radial basis; each clip as it "
            f"was recorded, without the backgrounds of the other rows (`python -m trials.egemaps {asked.recipe}`)."
        )
        name = "egemaps-svm" if asked.recipe == RECIPE else f"egemaps-svm-{asked.recipe}"
        made = Result(name=name, labels=plan.labels, scores=scores, about=about)
        results.write(LATENCY.parent, made.name, made)


def functionals(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Return the 88 functionals of each clip, shape (clips, 88)."""
    smile = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02)
    rows = [smile.process_signal(corpora.read_audio(clip, RATE_HZ) / 32_768, RATE_HZ).to_numpy()[0] for clip in clips]
    return np.array(rows, np.float64)


def fold(split: Split, found: dict[Path, NDArray[np.float64]], labels: tuple[str, ...]) -> tuple[Answers, float]:
    """Return what the best machine says to the clips held out, and its C."""

    def inputs(clips: Sequence[Clip]) -> NDArray[np.float64]:
        return np.stack([found[clip.path] for clip in clips])

    meant = features.targets(split.dev, labels)
    machines = [_trained(inputs(split.train), features.targets(split.train, labels), cost) for cost in COSTS]
    worth = [evaluate.uar(machine.predict(inputs(split.dev)), meant) for machine in machines]
    best = machines[int(np.argmax(worth))]
    temperature = evaluate.fit_temperature(best.decision_function(inputs(split.dev)), meant)
    scores = softmax(best.decision_function(inputs(split.test)) / temperature)
    return score.told(scores, split.test, labels, [CLEAN]), COSTS[int(np.argmax(worth))]


def _trained(inputs: NDArray[np.float64], truth: NDArray[np.intp], cost: float) -> Pipeline:
    return make_pipeline(StandardScaler(), SVC(C=cost, class_weight="balanced", random_state=0)).fit(inputs, truth)


if __name__ == "__main__":
    main()
