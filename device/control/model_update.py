"""Bundles that are sent to a device: fetched, checked, installed beside each other, and removed."""

import contextlib
import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable
from hashlib import sha256
from pathlib import Path

import models.bundle
from common import files, urls
from models.bundle import BundleError
from models.runtime import load_verified

MAX_BYTES = 4 * 1024 * 1024
"""Largest packed bundle; the shipped one has about 50 kB."""
STALL_S = 15.0
"""How long a server may send nothing."""
FETCH_S = 120.0
"""How long a whole download may take."""
_CHUNK = 64 * 1024


def install(source: str, key: str, folder: Path, runtime: str = "litert") -> Path:
    """Fetch a packed bundle, check it, write it into a folder of its own under `folder`, and return that.

    What does not pass leaves nothing behind.

    Args:
        source: https:// or http:// URL, or absolute path on this device.
        key: Public key of who may send bundles, 64 hex digits.
        folder: Where the bundles that were sent to this device lie.
        runtime: What runs it on this device.

    Raises:
        BundleError: it cannot be fetched, another key signed it, or it does not pass `load_verified`.
        ImportError: PyNaCl is not installed.
        OSError: it cannot be written.
    """
    from models.packing import unpack  # noqa: PLC0415 - loads PyNaCl, which only a device that is sent a model needs

    packed = fetch(source)
    contents = unpack(packed, key)
    fresh = folder / ".new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        for name, content in contents.items():
            files.write(fresh / name, content)
        name = load_verified(fresh, runtime).bundle.manifest.name
        return _adopt(fresh, folder / f"{name}-{sha256(packed).hexdigest()[:8]}", runtime)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check(model: str, runtime: str = "litert") -> Path:
    """Return the folder of a bundle, by path or shipped name, after checking that a runtime can use it.

    Raises:
        BundleError: it cannot.
    """
    folder = models.bundle.find(model)
    load_verified(folder, runtime)
    return folder


def by_name(wanted: Iterable[str]) -> dict[str, Path]:
    """Return the folders of bundles, given by path or shipped name, by the names in their manifests.

    The first of each name counts; what cannot be read is left out.
    """
    found: dict[str, Path] = {}
    for model in wanted:
        with contextlib.suppress(BundleError):
            bundle = models.bundle.load(models.bundle.find(model))
            found.setdefault(bundle.manifest.name, bundle.folder)
    return found


def keep_only(folder: Path, wanted: Collection[str | None]) -> None:
    """Remove all bundles of a folder but some, named by their paths."""
    for place in folder.glob("*"):
        if str(place) not in wanted:
            shutil.rmtree(place, ignore_errors=True)


def fetch(source: str) -> bytes:
    """Return what is at an https:// or http:// URL, or at an absolute path on this device.

    Raises:
        BundleError: it cannot be read, or is larger than `MAX_BYTES`.
    """
    scheme = source.partition("://")[0].lower()
    content = _download(source) if scheme in {"http", "https"} else _read(source)
    if len(content) > MAX_BYTES:
        place = source if source.startswith("/") else urls.readable(source)
        raise BundleError(f"{place} is larger than {MAX_BYTES:,} bytes; send a file that moodwire bundle pack made")
    return content


def _read(source: str) -> bytes:
    path = Path(source)
    if not path.is_absolute():
        raise BundleError(
            f"source is {urls.readable(source)!r}; give an https:// or http:// URL, or an absolute path on the device"
        )
    try:
        if not path.is_file():  # a pipe or a device could keep the reader waiting for ever
            raise BundleError(f"there is no file {source} on this device; copy it there, or give a URL")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror}") from error


def _download(url: str) -> bytes:
    place = urls.readable(url)
    try:
        urls.check_http(url)
    except ValueError as error:
        raise BundleError(f"{place} cannot be fetched: {error}") from error
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
    content = bytearray()
    try:
        with opener.open(url, timeout=STALL_S) as response:
            while len(content) <= MAX_BYTES and (chunk := response.read1(_CHUNK)):
                content += chunk
                if time.monotonic() > until_s:
                    raise BundleError(f"{place} has not sent the bundle within {FETCH_S:.0f} s; try a faster server")
    except urllib.error.HTTPError as error:
        # Not `error.reason`, which of a redirect that is not followed holds the whole URL that it leads to.
        answer = f"{error.code} {http.client.responses.get(error.code, '')}".strip()
        raise BundleError(f"{place} cannot be fetched: the server answers {answer}") from None
    except (http.client.InvalidURL, ValueError):
        raise BundleError(f"{place} cannot be fetched: the server redirects to a malformed URL") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise BundleError(f"{place} cannot be fetched: {reason or type(error).__name__}") from error
    return bytes(content)


def _adopt(fresh: Path, place: Path, runtime: str) -> Path:
    """Move a new bundle to its place, unless the same one was installed there before and is still whole."""
    if place.exists():
        try:
            load_verified(place, runtime)
        except BundleError:
            shutil.rmtree(place)
        else:
            return place
    fresh.replace(place)
    files.sync_folder(place.parent)
    return place
