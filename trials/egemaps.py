"""Hand-made features and an SVM in the same folds: `python -m trials.egemaps [RECIPE] [--write]`.

eGeMAPS (Eyben et al. 2016): 88 functionals of each clip as it was recorded, by openSMILE. On them a support vector
machine with a radial basis (scikit-learn); its C and the temperature of its scores are chosen by cross-validation over
the training speakers. It is scored on the speakers held out, and with the leaky split. openSMILE's licence allows
research only, so no environment of the project has it: run `pip install opensmile` before.

Labels and folds are those of the recipe. `--write` keeps the figures in `training/results/`, from which
`moodwire report` takes them.
"""

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import opensmile
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from models.runtime import softmax
from training import corpora, evaluate, features, recipe, results, score, splits
from training.corpora import Clip
from training.results import LATENCY, Result, Training
from training.score import Predictions
from training.splits import Fold, Split

RECIPE = "ang-hap-neu"
RATE_HZ = 16_000
COSTS = (0.1, 1.0, 10.0)
PARTS = 6
"""Folds of the training speakers, to choose C and temperature."""
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
        trainings, predictions = [], []
        for block in splits.blocks_of(clips):
            parts = splits.of(clips, Fold(block, 1, split), plan)
            predicted, cost = fold(parts, found, plan.labels)
            classes = predicted.scores.argmax(axis=1)
            uar = evaluate.uar(classes, predicted.truth)
            accuracy = float((classes == predicted.truth).mean())
            taught_by = len(splits.speakers(parts.train))
            trainings.append(Training(block=block, seed=1, uar=uar, accuracy=accuracy, speakers=taught_by))
            predictions.append(predicted)
            print(f"{split} {block}: UAR {uar:.1%}, C {cost:g}", flush=True)
        scores[split] = results.summary(trainings, predictions, plan.labels)
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


def fold(split: Split, found: dict[Path, NDArray[np.float64]], labels: tuple[str, ...]) -> tuple[Predictions, float]:
    """Return the predictions of the best SVM for the test clips, and its C.

    C and temperature are chosen by predictions for training speakers that were left out in turn.
    """

    def inputs(clips: Sequence[Clip]) -> NDArray[np.float64]:
        return np.stack([found[clip.path] for clip in clips])

    train, truth = inputs(split.train), features.targets(split.train, labels)
    speakers = [clip.speaker for clip in split.train]
    outputs = {
        cost: cross_val_predict(
            _svm(cost), train, truth, groups=speakers, cv=GroupKFold(PARTS), method="decision_function"
        )
        for cost in COSTS
    }
    best = max(COSTS, key=lambda cost: evaluate.uar(outputs[cost].argmax(axis=1), truth))
    temperature = evaluate.fit_temperature(outputs[best], truth)
    scores = softmax(_svm(best).fit(train, truth).decision_function(inputs(split.test)) / temperature)
    return score.predictions(scores, split.test, labels, [CLEAN]), best


def _svm(cost: float) -> Pipeline:
    return make_pipeline(StandardScaler(), SVC(C=cost, class_weight="balanced", random_state=0))


if __name__ == "__main__":
    main()
