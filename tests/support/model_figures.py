"""Writes `server/rest/model_figures.json` from bundles and results: `python tests/support/model_figures.py`."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "server" / "rest" / "model_figures.json"
CORPORA = {"crema-d": ("CREMA-D", "en"), "ravdess": ("RAVDESS", "en"), "emodb": ("EmoDB", "de")}
TAUGHT_BY = "CREMA-D: acted English sentences of 72 speakers"


def figures() -> str:
    """Return the file's text as it should be."""
    results = ROOT / "training" / "results"
    elsewhere = json.loads((results / "elsewhere.json").read_text())
    models = []
    for path in sorted((ROOT / "models" / "bundles").glob("*/manifest.json")):
        manifest = json.loads(path.read_text())
        (file,) = results.glob(f"{manifest['name']}-????????.json")
        models.append(_model(manifest, json.loads(file.read_text()), elsewhere[manifest["name"]]))
    return json.dumps(models, indent=1) + "\n"


def _model(manifest: dict[str, Any], result: dict[str, Any], elsewhere: dict[str, Any]) -> dict[str, Any]:
    score = result["scores"]["speakers"]
    listeners = [training["listeners"]["uar"] for training in score["trainings"] if training["listeners"]]
    return {
        "name": manifest["name"],
        "labels": manifest["labels"],
        "taught_by": TAUGHT_BY,
        "uncertain_below": manifest["uncertain_below"],
        "parameters": result["parameters"],
        "bytes": result["bytes"],
        "chance": round(1 / len(manifest["labels"]), 4),
        "corpora": [_corpus(corpus, found) for corpus, found in elsewhere.items()],
        "calibration": {
            "confidence": [confidence for confidence, _, _ in score["reliability"]],
            "accuracy": [accuracy for _, accuracy, _ in score["reliability"]],
        },
        "confusion": score["pooled"]["confusion"],
        "listeners_uar": round(sum(listeners) / len(listeners), 5) if listeners else None,
    }


def _corpus(corpus: str, found: dict[str, Any]) -> dict[str, Any]:
    name, language = CORPORA[corpus]
    return {
        "corpus": name,
        "language": language,
        "own": corpus == "crema-d",
        **{key: found[key] for key in ("clips", "speakers", "uar", "uar_interval", "recall", "ece")},
        "answered": found["sure"]["share"],
        "answered_right": found["sure"]["accuracy"],
    }


if __name__ == "__main__":
    FILE.write_text(figures())
