"""`moodwire bundle …`: signs bundles, so that they can be sent to devices."""

import os
import sys
from pathlib import Path

import typed_settings as ts

import models.bundle
from models import packing, signing
from models.bundle import BundleError
from models.runtime import load_verified


def _key_file() -> Path:
    """Return the default file of the key (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - may be no home
    return Path(base) / "moodwire" / "bundle.key"


@ts.settings(frozen=True)
class BundleSettings:
    """Settings of `moodwire bundle`."""

    key_file: Path = ts.option(
        default=_key_file(), help="private key that signs; whoever has it decides what devices run"
    )
    bundle: str = ts.option(default=models.bundle.DEFAULT, help="name of a shipped bundle, or folder of any bundle")
    out: str = ts.option(default="", help="file to write; empty: the model's name with .moodwire, in this folder")


def keygen(settings: BundleSettings) -> int:
    """Make a private key if there is none, and print its public key as a setting of devices."""
    path = settings.key_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            print(f"{path} exists; this is its public key", file=sys.stderr)
        else:
            signing.make_key(path)
            print(f"Made {path}; keep it secret, and make a copy", file=sys.stderr)
        public = signing.public_key(signing.read_key(path))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f'model_key = "{public}"')
    return 0


def pack(settings: BundleSettings) -> int:
    """Check a bundle, and write it as one signed file."""
    try:
        private = signing.read_key(settings.key_file)
        bundle = load_verified(models.bundle.find(settings.bundle)).bundle
        out = Path(settings.out or f"{bundle.manifest.name}.moodwire")
        out.write_bytes(packed := packing.pack(bundle.folder, private))
    except FileNotFoundError as error:
        print(f"no such file: {error.filename}; make a key with moodwire bundle keygen", file=sys.stderr)
        return 2
    except (BundleError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{out}: {bundle.manifest.name}, {len(packed):,} bytes, signed by {signing.public_key(private)}")
    return 0
