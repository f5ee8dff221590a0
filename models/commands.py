"""`moodwire bundle …`: signs models, so that they can be sent to devices."""

import os
import sys
from pathlib import Path

import typed_settings as ts

import models.bundle
from models import packing, signing
from models.bundle import BundleError
from models.runtime import load_verified


def _key_file() -> Path:
    """Return where programs keep their configuration (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "moodwire" / "bundle.key"


@ts.settings(frozen=True)
class BundleSettings:
    """Settings of `moodwire bundle`."""

    key_file: Path = ts.option(default=_key_file(), help="private key that signs; who has it decides what devices run")
    bundle: str = ts.option(default=models.bundle.DEFAULT, help="name of a shipped bundle, or folder of any")
    out: str = ts.option(default="", help="file to write the packed bundle to; empty: its name and .moodwire, here")


def keygen(settings: BundleSettings) -> int:
    """Make the private key if there is none, and print the public one."""
    path = settings.key_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            print(f"{path} is there already; this is its public key", file=sys.stderr)
        else:
            signing.make_key(path)
            print(f"Made {path}; keep it secret, and keep a copy", file=sys.stderr)
        public = signing.public_key(signing.read_key(path))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f'model_key = "{public}"')
    return 0


def pack(settings: BundleSettings) -> int:
    """Try a bundle, and write it as one signed file."""
    try:
        private = signing.read_key(settings.key_file)
        bundle = load_verified(models.bundle.find(settings.bundle)).bundle
        out = Path(settings.out or f"{bundle.manifest.name}.moodwire")
        out.write_bytes(packed := packing.pack(bundle.folder, private))
    except FileNotFoundError as error:
        print(f"no such file: {error.filename}; moodwire bundle keygen makes a key", file=sys.stderr)
        return 2
    except (BundleError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{out}: {bundle.manifest.name}, {len(packed):,} bytes, signed by {signing.public_key(private)}")
    return 0
