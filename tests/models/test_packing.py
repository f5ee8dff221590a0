"""Signed bundles: only what the holder of the key packed is ever unpacked."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import bundle, packing, signing
from models.bundle import BundleError

PRIVATE = bytes(range(32))
PUBLIC = signing.public_key(PRIVATE)
PACKED = packing.pack(bundle.find(bundle.DEFAULT), PRIVATE)


def signed(files: dict[str, bytes]) -> bytes:
    """Return any files, packed and signed with the right key."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return packing.seal(archive.getvalue(), PRIVATE)


def test_what_was_packed_comes_out_again() -> None:
    """All four files of a bundle arrive as they were, and packing again gives the same bytes."""
    folder = bundle.find(bundle.DEFAULT)

    assert packing.unpack(PACKED, PUBLIC) == {name: (folder / name).read_bytes() for name in packing.FILES}
    assert packing.pack(folder, PRIVATE) == PACKED


def test_people_can_look_into_a_packed_bundle() -> None:
    """The file is a zip archive behind the signature, which any zip program reads."""
    with zipfile.ZipFile(io.BytesIO(PACKED)) as archive:
        assert sorted(archive.namelist()) == sorted(packing.FILES)


@given(st.integers(0, len(PACKED) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, change: int) -> None:
    """A bundle that was changed anywhere is refused before it is unpacked."""
    changed = bytearray(PACKED)
    changed[place] ^= change

    with pytest.raises(BundleError, match=r"signature is not by the key|no packed bundle"):
        packing.unpack(bytes(changed), PUBLIC)


@given(st.integers(0, len(PACKED) - 1))
def test_a_cut_bundle_is_refused(length: int) -> None:
    """A bundle of which only a part arrived is refused."""
    with pytest.raises(BundleError, match=r"signature is not by the key|no packed bundle"):
        packing.unpack(PACKED[:length], PUBLIC)


def test_another_key_is_refused() -> None:
    """A bundle that somebody else signed is refused."""
    with pytest.raises(BundleError, match="signature is not by the key that model_key names"):
        packing.unpack(PACKED, signing.public_key(bytes(32)))


@pytest.mark.parametrize(
    "names",
    [
        [*packing.FILES, "../../outbox.sqlite"],
        ["/etc/passwd", *packing.FILES[1:]],
        [*packing.FILES, "extra.txt"],
        list(packing.FILES[:3]),
        [*packing.FILES[:3], "manifest.json"],
        [],
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_only_the_four_files_are_unpacked(names: list[str]) -> None:
    """Even the holder of the key cannot pack a path that leads elsewhere, a file too many, twice, or too few."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in names:
            packed.writestr(name, b"x")

    with pytest.raises(BundleError, match="has exactly the files"):
        packing.unpack(packing.seal(archive.getvalue(), PRIVATE), PUBLIC)


def test_a_bundle_that_swells_is_refused() -> None:
    """An archive that unpacks to far more than a bundle has is refused before it is unpacked."""
    files = dict.fromkeys(packing.FILES, b"x") | {"model.tflite": bytes(packing.MAX_UNPACKED_BYTES)}

    with pytest.raises(BundleError, match="more than 16,777,216; make it smaller"):
        packing.unpack(signed(files), PUBLIC)


def test_an_archive_that_cannot_be_read_is_refused() -> None:
    """Signed nonsense is refused in one sentence as well."""
    for body in (b"", b"nonsense", PACKED[90:-40]):
        with pytest.raises(BundleError, match="cannot be unpacked"):
            packing.unpack(packing.seal(body, PRIVATE), PUBLIC)
