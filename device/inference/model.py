"""Models that passed their golden test on this machine."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import models.bundle
from models.bundle import Bundle, BundleError
from models.runtime import Classifier

log = logging.getLogger(__name__)


class VerifiedModel(NamedTuple):
    """A bundle that passed its golden test on this machine, and the classifier made from it."""

    bundle: Bundle
    classifier: Classifier


def load_verified(folder: Path) -> VerifiedModel:
    """Load the bundle of a folder and run its golden test.

    Raises:
        BundleError: the bundle is malformed, or its golden file gives other scores on this machine.
    """
    bundle = models.bundle.load(folder)
    classifier = Classifier(bundle)
    classifier.verify()
    return VerifiedModel(bundle, classifier)


def load_first_usable(sent: Iterable[str | None], fallback: str) -> VerifiedModel:
    """Load the first usable model; log a warning for each broken one before it.

    Args:
        sent: Folders of models that were sent to this device, the newest first; empty names are skipped.
        fallback: Name or folder of the model that the settings name.

    Raises:
        BundleError: not even the fallback is usable.
    """
    for folder in filter(None, sent):
        try:
            return load_verified(Path(folder))
        except BundleError as error:
            log.warning("the model that was sent to this device cannot be used (%s); trying the one before", error)
    return load_verified(models.bundle.find(fallback))
