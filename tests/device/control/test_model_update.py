"""Bundles that are sent to a device: where they may come from, and that what does not pass leaves nothing behind."""

from pathlib import Path

import pytest
from bundles import copy_bundle
from sites import serving

from device.control import model_update
from models import bundle, packing, signing
from models.bundle import BundleError

PRIVATE = bytes(range(32))
PUBLIC = signing.public_key(PRIVATE)
OWN = bundle.find(bundle.DEFAULT)
PACKED = packing.pack(OWN, PRIVATE)


def test_a_bundle_comes_from_a_url() -> None:
    """A bundle is fetched over HTTP, also behind a redirect."""
    with serving(PACKED) as site:
        assert model_update.fetch(site.url) == PACKED
        assert model_update.fetch(f"{site.url}?to={site.url}") == PACKED


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/hostname", "the server answers 302"),
        ("data:,x", "the server answers 302"),
        ("ftp://127.0.0.1/x", "unknown url type: ftp"),
    ],
)
def test_no_redirect_leads_to_files(target: str, reason: str) -> None:
    """A server cannot make a device read its own files, or speak another protocol."""
    with serving(PACKED) as site, pytest.raises(BundleError, match=f"cannot be fetched: .*{reason}"):
        model_update.fetch(f"{site.url}?to={target}")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("models/bundles", "source is 'models/bundles'; give an https:// or http:// URL, or an absolute path"),
        ("file:///etc/passwd", "source is 'file:///etc/passwd'; give"),
        ("/no/such/file", "there is no file /no/such/file on this device"),
        ("/dev/zero", "there is no file /dev/zero on this device"),
        ("/nul\0byte", "there is no file /nul\0byte on this device"),
        ("http://[x", "cannot be fetched"),
        ("http://\0/", "cannot be fetched"),
    ],
)
def test_what_is_no_source_is_refused(source: str, sentence: str) -> None:
    """Anything but a URL or a file is refused with its name."""
    with pytest.raises(BundleError, match=sentence):
        model_update.fetch(source)


def test_a_server_that_sends_too_much_is_given_up() -> None:
    """A download ends at the largest size that a bundle may have."""
    with serving(bytes(model_update.MAX_BYTES * 4)) as site, pytest.raises(BundleError, match="is larger than"):
        model_update.fetch(site.url)


@pytest.mark.parametrize(
    ("name", "reason"), [("STALL_S", "timed out"), ("FETCH_S", "has not sent the bundle within 0 s")]
)
def test_a_slow_server_is_given_up(monkeypatch: pytest.MonkeyPatch, name: str, reason: str) -> None:
    """A server that stalls, or that would take for ever, does not keep the device waiting."""
    monkeypatch.setattr(model_update, name, 0.1)
    with (
        serving(bytes(100_000), hold=name == "STALL_S", slowly=True) as site,
        pytest.raises(BundleError, match=reason),
    ):
        model_update.fetch(site.url)


def test_a_missing_page_is_told() -> None:
    """What the server answers is part of the reason."""
    with serving(None) as site, pytest.raises(BundleError, match="the server answers 404"):
        model_update.fetch(site.url)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (PACKED[:-1], "the signature is not by the key"),
        (packing.pack(OWN, bytes(32)), "the signature is not by the key"),
        (b"nonsense", "this is no packed bundle"),
        (bytes(model_update.MAX_BYTES + 1), "is larger than"),
    ],
)
def test_what_is_not_signed_by_the_pinned_key_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    """A bundle that is cut, from another key, no bundle, or too large leaves nothing behind."""
    (tmp_path / "packed").write_bytes(content)

    with pytest.raises(BundleError, match=sentence):
        model_update.install(str(tmp_path / "packed"), PUBLIC, tmp_path / "models")

    assert not list(tmp_path.glob("models/*"))


def test_a_bundle_that_is_sent_again_is_mended(tmp_path: Path) -> None:
    """The same bundle has the same folder; what was damaged in it since is whole again."""
    (tmp_path / "packed").write_bytes(PACKED)
    packed, folder = str(tmp_path / "packed"), tmp_path / "models"

    place = model_update.install(packed, PUBLIC, folder)
    (place / "model.tflite").write_bytes(b"damaged")

    assert model_update.install(packed, PUBLIC, folder) == place
    assert model_update.check(str(place)) == place
    assert list(folder.iterdir()) == [place]


def test_a_bundle_on_disk_is_checked(tmp_path: Path) -> None:
    """A bundle by name or path is returned as its folder, if it can be used."""
    assert model_update.check(bundle.DEFAULT) == OWN
    with pytest.raises(BundleError, match="scores differ"):
        model_update.check(str(copy_bundle(tmp_path / "wrong", temperature=9.0)))


def test_only_wanted_bundles_are_kept(tmp_path: Path) -> None:
    """All others are removed, also what an interrupted installation left."""
    for name in ("one", "two", ".new"):
        (tmp_path / name).mkdir()

    model_update.keep_only(tmp_path, {str(tmp_path / "two"), None})

    assert [path.name for path in tmp_path.iterdir()] == ["two"]
