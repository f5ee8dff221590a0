"""The real corpus, where it lies beside the repository."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models import bundle
from models.bundle import Manifest
from models.runtime import Classifier
from training import augment, catalogue, corpora, evaluate, features, recipe, recordings, results, splits
from training.augment import Windows
from training.backgrounds import BACKGROUNDS
from training.corpora import Clip
from training.results import Elsewhere

pytestmark = pytest.mark.slow

BUNDLES = sorted(path.name for path in bundle.SHIPPED.iterdir() if path.is_dir())


def own(recordings_dir: Path, manifest: Manifest) -> list[Clip]:
    """Return the clips of a model's labels, of all corpora that taught it."""
    names = catalogue.taught(manifest)
    return [clip for name in names for clip in catalogue.read(name, recordings_dir, manifest.labels)]


def test_clips_are_those_of_the_release(real_data_dir: Path) -> None:
    """CREMA-D's three classes are there without the three clips of them whose audio has two labels."""
    clips = corpora.read_clips(real_data_dir, ("ANG", "HAP", "NEU"))

    assert len(clips) == 2_867
    assert len({clip.sha256 for clip in clips}) == 2_867
    assert len(splits.speakers(clips)) == 72


@pytest.mark.parametrize("name", BUNDLES)
def test_shipped_bundle_was_trained_on_what_it_says(real_data_dir: Path, name: str) -> None:
    """A shipped manifest's data hash is that of all clips that its recipe hears, its recipe hash that of the recipe."""
    manifest = bundle.load(bundle.find(name)).manifest
    plan = recipe.load(name)
    clips = recordings.read(plan, real_data_dir)

    assert plan.sha256 == manifest.recipe_sha256
    assert corpora.digest(clips, votes=plan.votes > 0) == manifest.data_sha256


@pytest.mark.parametrize("name", BUNDLES)
def test_listeners_are_in_the_manifest(real_data_dir: Path, name: str) -> None:
    """The human score in a manifest is recounted from the votes on the very clips that the recipe was scored on."""
    manifest = bundle.load(bundle.find(name)).manifest

    clips = own(real_data_dir, manifest)
    assert evaluate.listeners(clips, manifest.labels) == manifest.measured["listeners"]


@pytest.mark.parametrize("name", BUNDLES)
def test_shipped_file_answers_as_when_it_was_made(real_data_dir: Path, name: str) -> None:
    """File, front end and runtime give the manifest's UAR on real speech again, but for what CPUs round otherwise."""
    shipped = bundle.load(bundle.find(name))
    manifest = shipped.manifest
    clips = own(real_data_dir, manifest)

    windows = features.centred_windows(clips, manifest, BACKGROUNDS["own"])
    answers = evaluate.logits(Classifier(shipped), windows).argmax(axis=1)

    found = evaluate.uar(answers, features.targets(clips, manifest.labels))
    assert found == pytest.approx(manifest.measured["uar_of_training_clips"], abs=0.005)


def test_shipped_file_is_worth_elsewhere_what_is_kept(real_data_dir: Path) -> None:
    """File, front end and runtime give the kept recalls on a corpus again, but for what CPUs round otherwise."""
    shipped = bundle.load(bundle.find(bundle.DEFAULT))
    manifest = shipped.manifest
    corpus = list(manifest.measured["elsewhere"])[-1]
    clips = catalogue.read(corpus, real_data_dir, manifest.labels)

    windows = features.centred_windows(clips, manifest, BACKGROUNDS["silence"])
    answers = evaluate.logits(Classifier(shipped), windows).argmax(axis=1)

    kept = msgspec.convert(manifest.measured["elsewhere"][corpus], Elsewhere)
    found = evaluate.uar(answers, features.targets(clips, manifest.labels))
    assert found == pytest.approx(kept.in_floors["silence"].uar, abs=0.01)
    assert kept == results.read_elsewhere(results.LATENCY.parent)[manifest.name][corpus]


def test_the_floor_under_a_clip_tells_no_emotion(real_data_dir: Path) -> None:
    """A linear probe on the background alone knows emotions of the studio's clips, and none of those without it."""
    front_end = recipe.load("six").front_end
    clips = [clip for clip in corpora.read_clips(real_data_dir, ("ANG", "HAP", "NEU")) if clip.speaker <= 1036]
    truth, is_test = np.array([clip.label for clip in clips]), np.array([clip.speaker > 1018 for clip in clips])
    bank = features.bank(clips, front_end)
    length = int(np.diff(bank.begins).max())
    whole, padding = bank.windows(np.arange(len(clips)), np.zeros(len(clips), int), length)

    def probe(windows: Windows) -> float:
        heard = np.where(padding[..., None], np.nan, features.normalised(windows)[..., 0])
        floors = np.nanquantile(heard, 0.1, axis=1)
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        answers = regression.fit(floors[~is_test], truth[~is_test]).predict(floors[is_test])
        return float(recall_score(truth[is_test], answers, average="macro"))

    assert probe(whole) > 0.55
    assert probe(augment.without_floor(whole, padding, features.hiss(front_end))) < 0.42
