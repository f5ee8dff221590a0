"""Writes `server/rest/model_figures.json` from bundles and results: `python tests/support/model_figures.py`."""

import json
from pathlib import Path
from typing import Any

from models import bundle
from models.bundle import Manifest
from training import catalogue, results
from training.results import Elsewhere

ROOT = Path(__file__).parents[2]
FILE = ROOT / "server" / "rest" / "model_figures.json"
LANGUAGES = {"English": "en", "German": "de"}


def figures() -> str:
    """Return the file's text as it should be."""
    folder = ROOT / "training" / "results"
    elsewhere = results.read_elsewhere(folder)
    models = []
    for path in sorted(place for place in bundle.SHIPPED.iterdir() if place.is_dir()):
        manifest = bundle.load(path).manifest
        (file,) = folder.glob(f"{manifest.name}-????????.json")
        models.append(_model(manifest, json.loads(file.read_text()), elsewhere[manifest.name]))
    return json.dumps(models, indent=1) + "\n"


def _model(manifest: Manifest, result: dict[str, Any], elsewhere: dict[str, Elsewhere]) -> dict[str, Any]:
    score = result["scores"]["speakers"]
    listeners = [training["listeners"]["uar"] for training in score["trainings"] if training["listeners"]]
    return {
        "name": manifest.name,
        "labels": manifest.labels,
        "taught_by": taught_by(manifest),
        "uncertain_below": manifest.uncertain_below,
        "parameters": result["parameters"],
        "bytes": result["bytes"],
        "chance": round(1 / len(manifest.labels), 4),
        "corpora": [corpus(name, elsewhere[name]) for name in catalogue.CORPORA if name in elsewhere],
        "calibration": {
            "confidence": [confidence for confidence, _, _ in score["reliability"]],
            "accuracy": [accuracy for _, accuracy, _ in score["reliability"]],
        },
        "confusion": score["pooled"]["confusion"],
        "listeners_uar": round(sum(listeners) / len(listeners), 5) if listeners else None,
    }


def taught_by(manifest: Manifest) -> str:
    """Return in words which recordings a model learned from."""
    taught = [catalogue.SCORED[name] for name in catalogue.taught(manifest) if name in catalogue.SCORED]
    acted = [language for known in taught for language in known.languages]
    speakers = manifest.measured["speakers"]["train"]
    read = sum(map(catalogue.only_trains, speakers))
    words = f"acted {' and '.join(dict.fromkeys(acted))} sentences of {len(speakers) - read} speakers"
    return f"{catalogue.titles(manifest)}: {words}{f' and announcements of {read}' * bool(read)}"


def corpus(name: str, found: Elsewhere) -> dict[str, Any]:
    """Return what the page is told of a corpus."""
    known = catalogue.CORPORA[name]
    return {
        "corpus": known.title,
        "language": LANGUAGES[known.languages[0]],
        "own": found.own,
        **{key: getattr(found, key) for key in ("clips", "speakers", "uar", "uar_interval", "recall", "ece")},
        "answered": found.sure["share"],
        "answered_right": found.sure["accuracy"],
    }


if __name__ == "__main__":
    FILE.write_text(figures())
