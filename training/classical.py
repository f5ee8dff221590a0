"""The models of published systems that are no networks, from scikit-learn: straight from features to probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from training.architectures import Classical

MLP_ITERATIONS = 300


def fit(model: Classical, values: NDArray[np.float32], truth: NDArray[np.intp], seed: int) -> Pipeline:
    """Return a trained model, which standardises its input first.

    Args:
        model: which one.
        values: features, shape (n, …); anything but vectors is laid out as vectors.
        truth: the class of each, shape (n,).
        seed: of everything random.
    """
    made: Any = {
        "k-nearest": lambda: KNeighborsClassifier(model.neighbours),
        "tree": lambda: DecisionTreeClassifier(random_state=seed),
        "mlp": lambda: MLPClassifier(max_iter=MLP_ITERATIONS, early_stopping=False, random_state=seed),
        "svm": lambda: SVC(C=model.penalty, random_state=seed),
    }[model.model]()
    pipeline = make_pipeline(StandardScaler(), made)
    pipeline.fit(values.reshape(len(values), -1), truth)
    return pipeline


def probabilities(pipeline: Pipeline, values: NDArray[np.float32], labels: int) -> NDArray[np.float64]:
    """Return the probability of each class, shape (n, labels).

    A support vector machine gives none: its answer has them all.
    """
    flat = values.reshape(len(values), -1)
    classes = pipeline[-1].classes_
    found = np.zeros((len(flat), labels))
    if hasattr(pipeline[-1], "predict_proba"):
        found[:, classes] = pipeline.predict_proba(flat)
    else:
        found[np.arange(len(flat)), pipeline.predict(flat)] = 1
    return found
