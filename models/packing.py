"""A bundle as one signed file, for the way to a device.

A line that names the format, an Ed25519 signature of 64 bytes, and a zip archive of the bundle's four files. The
signature covers line and archive, so nothing of a file from a stranger is ever parsed; `unzip` reads it all the same.
"""

import io
import zipfile
import zlib
from pathlib import Path

from models.bundle import BundleError, load
from models.signing import SIGNATURE_BYTES, is_signed, sign

FILES = ("manifest.json", "model.tflite", "golden.npz", "CARD.md")
MAX_UNPACKED_BYTES = 16 * 1024 * 1024
_FORMAT = b"moodwire bundle 1\n"
_SAME_DATE = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, private: bytes) -> bytes:
    """Return a bundle as one signed file; the same bundle and key give the same bytes.

    Raises:
        BundleError: a file is missing, or manifest and model do not belong together.
    """
    load(folder)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in FILES:
            try:
                content = (folder / name).read_bytes()
            except OSError as error:
                raise BundleError(f"{folder / name} cannot be read: {error.strerror}") from error
            packed.writestr(zipfile.ZipInfo(name, _SAME_DATE), content, zipfile.ZIP_DEFLATED)
    return seal(archive.getvalue(), private)


def seal(archive: bytes, private: bytes) -> bytes:
    """Return a zip archive behind the format's line and the signature over both."""
    return _FORMAT + sign(_FORMAT + archive, private) + archive


def unpack(packed: bytes, public: str) -> dict[str, bytes]:
    """Return the files of a packed bundle by name, after the signature was found to be right.

    Raises:
        BundleError: it is no packed bundle, not signed by the holder of the public key, or not complete.
    """
    if not packed.startswith(_FORMAT):
        raise BundleError("this is no packed bundle; moodwire bundle pack makes one")
    start = len(_FORMAT) + SIGNATURE_BYTES
    signature, body = packed[len(_FORMAT) : start], packed[start:]
    if len(signature) < SIGNATURE_BYTES or not is_signed(_FORMAT + body, signature, public):
        raise BundleError("the signature is not by the key that model_key names, or the bundle was changed on its way")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return _files(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"the packed bundle cannot be unpacked: {error}") from error


def _files(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return exactly the four known files; what else a signed archive may name is never opened or written."""
    entries = archive.infolist()
    if sorted(entry.filename for entry in entries) != sorted(FILES):
        raise BundleError(f"a packed bundle has exactly the files {', '.join(FILES)}")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise BundleError(f"a bundle is not larger than {MAX_UNPACKED_BYTES:,} bytes")
    return {entry.filename: archive.read(entry) for entry in entries}
