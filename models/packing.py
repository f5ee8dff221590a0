"""Packed bundle: a bundle as one signed file, to be sent to a device.

It consists of a line that names the format, an Ed25519 signature of 64 bytes, and a zip archive of the bundle's four
files. The signature covers line and archive, so that a stranger's archive is never parsed. `unzip` can read the file.
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
    """Pack and sign a bundle; the same bundle and key give the same bytes.

    Raises:
        BundleError: a file is missing, the manifest is malformed, or it names another model.
    """
    load(folder)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in FILES:
            try:
                content = (folder / name).read_bytes()
            except OSError as error:
                raise BundleError(f"{folder / name} cannot be read: {error.strerror}; copy it there") from error
            packed.writestr(zipfile.ZipInfo(name, _SAME_DATE), content, zipfile.ZIP_DEFLATED)
    return seal(archive.getvalue(), private)


def seal(archive: bytes, private: bytes) -> bytes:
    """Return a zip archive with the line of the format and the signature in front of it."""
    return _FORMAT + sign(_FORMAT + archive, private) + archive


def unpack(packed: bytes, public: str) -> dict[str, bytes]:
    """Check the signature of a packed bundle, and return its files by name.

    Raises:
        BundleError: it is no packed bundle, was not signed with the key, or is not complete.
    """
    if not packed.startswith(_FORMAT):
        raise BundleError("this is no packed bundle; make one with moodwire bundle pack")
    start = len(_FORMAT) + SIGNATURE_BYTES
    signature, body = packed[len(_FORMAT) : start], packed[start:]
    if len(signature) < SIGNATURE_BYTES or not is_signed(_FORMAT + body, signature, public):
        raise BundleError(
            "the signature is not by the key that model_key names, or the file has changed since; "
            "sign the bundle with that key and send it again"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return _files(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"the packed bundle cannot be unpacked: {error}; pack it again") from error


def _files(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the four files of a bundle; an archive with other names, which could lead elsewhere, is not opened."""
    entries = archive.infolist()
    if sorted(entry.filename for entry in entries) != sorted(FILES):
        raise BundleError(f"a packed bundle has exactly the files {', '.join(FILES)}; pack it again")
    size = sum(entry.file_size for entry in entries)
    if size > MAX_UNPACKED_BYTES:
        raise BundleError(f"the bundle has {size:,} bytes, more than {MAX_UNPACKED_BYTES:,}; make it smaller")
    return {entry.filename: archive.read(entry) for entry in entries}
