"""`moodwire bundle …`: a key, and bundles signed with it."""

import stat
from pathlib import Path

import pytest
from bundles import copy_bundle

import moodwire
from models import packing


def test_the_commands_make_a_key_and_a_signed_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bundle keygen` prints the line for the device's settings, and `bundle pack` writes what that key accepts."""
    key, out = tmp_path / "keys" / "key", tmp_path / "packed"

    assert moodwire.main(["bundle", "pack", "--key-file", str(key)]) == 2
    assert "make a key with moodwire bundle keygen" in capsys.readouterr().err
    assert moodwire.main(["bundle", "keygen", "--key-file", str(key)]) == 0
    line = capsys.readouterr().out
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert moodwire.main(["bundle", "keygen", "--key-file", str(key)]) == 0
    assert capsys.readouterr().out == line, "a key that is there stays"
    assert moodwire.main(["bundle", "pack", "--key-file", str(key), "--out", str(out)]) == 0

    public = line.strip().removeprefix('model_key = "').removesuffix('"')
    assert packing.unpack(out.read_bytes(), public).keys() == set(packing.FILES)


@pytest.mark.parametrize("content", ["", "nonsense", "abcd", "00" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Packing with another file than a key ends with a sentence that names it."""
    (tmp_path / "key").write_text(content)

    assert moodwire.main(["bundle", "pack", "--key-file", str(tmp_path / "key")]) == 2
    assert f"{tmp_path / 'key'} holds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": ["ANG", "HAP", "angry"]}, "label 'angry' is not allowed"),
        ({"temperature": 9.0}, "this machine's scores differ by"),
    ],
)
def test_a_bundle_that_a_device_would_refuse_is_not_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], sentence: str
) -> None:
    """Whoever packs it learns the reason at once, and no file is written."""
    key, out = str(tmp_path / "key"), tmp_path / "packed"
    folder = copy_bundle(tmp_path / "wrong", **changes)
    moodwire.main(["bundle", "keygen", "--key-file", key])

    assert moodwire.main(["bundle", "pack", "--key-file", key, "--bundle", str(folder), "--out", str(out)]) == 2
    assert sentence in capsys.readouterr().err
    assert not out.exists()
