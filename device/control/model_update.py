"""Bundles that are sent to a device: fetched, checked, installed beside the others, and tidied away."""

import http.client
import logging
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from common import files
from models.bundle import BundleError
from models.runtime import load_verified

log = logging.getLogger(__name__)

MAX_BYTES = 4 * 1024 * 1024
"""No packed bundle is larger; the shipped one has about 50 kB."""
STALL_S = 15.0
"""A server that says nothing for so long is given up."""
FETCH_S = 120.0
"""A whole download may take so long."""
_CHUNK = 64 * 1024


def fetch(source: str) -> bytes:
    """Return what is at an https:// or http:// URL, or at an absolute path on this device.

    Raises:
        BundleError: it cannot be had, or is too large; the text says why.
    """
    scheme = source.partition("://")[0].lower()
    if scheme in {"http", "https"}:
        return _download(source)
    path = Path(source)
    if not path.is_absolute():
        raise BundleError(f"{source!r} is no source: an https:// or http:// URL or an absolute path is right")
    try:
        if not path.is_file():
            raise BundleError(f"there is no file {source} on this device")
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror}") from error
    return _bounded(found, source)


def install(packed: bytes, key: str, folder: Path) -> Path:
    """Check a packed bundle, write it into a folder of its own under `folder`, try it, and return where it is.

    What does not pass leaves nothing behind.

    Raises:
        BundleError: the signature is not of the pinned key, or the bundle is not right, or gives wrong scores here.
        OSError: it cannot be written.
    """
    from models.packing import unpack  # noqa: PLC0415 - the signature's library is needed now only

    contents = unpack(packed, key)
    fresh = folder / ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        for name, content in contents.items():
            files.write(fresh / name, content)
        bundle = load_verified(fresh).bundle
        place = folder / f"{bundle.manifest.name}-{sha256(packed).hexdigest()[:8]}"
        if place.exists():
            try:
                load_verified(place)
            except BundleError:  # sent before, and damaged since
                shutil.rmtree(place)
        if not place.exists():
            fresh.replace(place)
            files.sync_folder(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def tidy(folder: Path, wanted: Collection[str | None]) -> None:
    """Remove the bundles of a folder that are not wanted."""
    for place in folder.glob("*"):
        if str(place) not in wanted:
            shutil.rmtree(place, ignore_errors=True)


def _download(url: str) -> bytes:
    opener = urllib.request.OpenerDirector()
    # Only what is listed here can be opened, also by a redirect: no file://, no ftp://, no data:.
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    until_s = time.monotonic() + FETCH_S
    found = bytearray()
    try:
        with opener.open(url, timeout=STALL_S) as response:
            while len(found) <= MAX_BYTES and (chunk := response.read1(_CHUNK)):
                found += chunk
                if time.monotonic() > until_s:
                    raise BundleError(f"{url} takes longer than {FETCH_S:.0f} s to send the bundle")
    except urllib.error.HTTPError as error:
        raise BundleError(f"{url} cannot be fetched: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise BundleError(f"{url} cannot be fetched: {reason or type(error).__name__}") from error
    return _bounded(bytes(found), url)


def _bounded(found: bytes, source: str) -> bytes:
    if len(found) > MAX_BYTES:
        raise BundleError(f"{source} is larger than {MAX_BYTES:,} bytes, which no packed bundle is")
    return found
