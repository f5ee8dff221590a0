"""Copies of a shipped bundle that tests may change."""

import json
import shutil
from pathlib import Path

from models import bundle


def copy_bundle(folder: Path, **changes: object) -> Path:
    """Copy the default bundle into a new folder, change fields of its manifest, and return the folder."""
    shutil.copytree(bundle.find(bundle.DEFAULT), folder)
    change_manifest(folder, **changes)
    return folder


def change_manifest(folder: Path, **changes: object) -> None:
    """Replace fields of a bundle's manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
