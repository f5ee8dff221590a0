"""The real corpus, where it lies beside the repository."""

from pathlib import Path

import pytest

from models import bundle
from models.runtime import Classifier
from training import corpora, evaluate, features, recipe, splits
from training.backgrounds import BACKGROUNDS


def test_clips_are_those_of_the_release(real_data_dir: Path) -> None:
    """CREMA-D's three classes are there without the three clips of them whose audio has two labels."""
    clips = corpora.read_clips(real_data_dir, ("ANG", "HAP", "NEU"))

    assert len(clips) == 2_867
    assert len({clip.sha256 for clip in clips}) == 2_867
    assert len(splits.speakers(clips)) == 72


def test_default_bundle_was_trained_on_what_it_says(real_data_dir: Path) -> None:
    """The shipped manifest's data hash is that of its training speakers' clips."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    clips = corpora.read_clips(real_data_dir, manifest.labels)
    train = [clip for clip in clips if clip.speaker in manifest.measured["speakers"]["train"]]

    assert corpora.digest(train) == manifest.data_sha256


def test_listeners_of_the_test_speakers_are_in_the_manifest(real_data_dir: Path) -> None:
    """The human score in the manifest is recounted from the votes on the very clips that the model was scored on."""
    manifest = bundle.load(bundle.find(bundle.DEFAULT)).manifest
    clips = corpora.read_clips(real_data_dir, manifest.labels)
    test = [clip for clip in clips if clip.speaker in manifest.measured["speakers"]["test"]]

    assert evaluate.listeners(test, manifest.labels) == manifest.measured["listeners"]


def test_score_of_the_default_bundle_is_reproduced(real_data_dir: Path) -> None:
    """Shipped recipe, file, front end and runtime give the manifest's UARs again, but for what CPUs round otherwise."""
    shipped = bundle.load(bundle.find(bundle.DEFAULT))
    plan = recipe.load("ang-hap-neu")
    test = splits.by_speaker(corpora.read_clips(real_data_dir, plan.labels), plan.test_block).test

    for name, expected in shipped.manifest.measured["uar_by_background"].items():
        windows = features.centred_windows(test, plan, BACKGROUNDS[name])
        answers = evaluate.logits(Classifier(shipped), windows).argmax(axis=1)
        assert evaluate.uar(answers, features.targets(test, plan.labels)) == pytest.approx(expected, abs=0.005)
    assert plan.sha256 == shipped.manifest.recipe_sha256
