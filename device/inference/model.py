"""The model that a device starts with."""

import logging
from collections.abc import Iterable

import models.bundle
from models.bundle import BundleError
from models.runtime import VerifiedModel, load_verified

log = logging.getLogger(__name__)


def load_first_usable(sent: Iterable[str | None], fallback: str, runtime: str = "litert") -> VerifiedModel:
    """Load the first usable model; log a warning for each broken one before it.

    Args:
        sent: Models that commands asked for, by folder or shipped name, the newest first; empty names are skipped.
        fallback: Name or folder of the model that the settings name.
        runtime: What runs it, as the settings name it.

    Raises:
        BundleError: not even the fallback is usable.
    """
    for folder in filter(None, sent):
        try:
            return load_verified(models.bundle.find(folder), runtime)
        except BundleError as error:
            log.warning("the model that was sent to this device cannot be used (%s); trying the one before", error)
    return load_verified(models.bundle.find(fallback), runtime)
