"""Files are replaced whole or not at all, and private ones are never open to others."""

import contextlib
import errno
import os
import stat
from pathlib import Path

import pytest

from common import files


def disk_full(*_: object) -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_content_is_replaced_and_the_folder_made(tmp_path: Path) -> None:
    """A file in a folder that is not there yet is written, and written again."""
    path = tmp_path / "state" / "file"

    files.replace(path, b"one, and longer")
    files.replace(path, b"two")

    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    """What only its owner could read stays so, and a program stays one."""
    for mode in (0o600, 0o755):
        path = tmp_path / f"{mode:o}"
        path.touch()
        path.chmod(mode)

        files.replace(path, b"new")

        assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """When the disk is full, the old content stays and nothing lies beside it."""
    path = tmp_path / "file"
    files.replace(path, b"old")
    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), disk_full)

    with pytest.raises(OSError, match="No space left"):
        files.replace(path, b"new")

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_content_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss of power finds the old file or the whole new one: first the content is synced, then the folder."""
    path = tmp_path / "file"
    files.replace(path, b"old")
    seen: list[tuple[bool, bytes]] = []
    fsync = os.fsync

    def recording(number: int) -> None:
        fsync(number)
        seen.append((stat.S_ISDIR(os.fstat(number).st_mode), path.read_bytes()))

    monkeypatch.setattr(os, "fsync", recording)

    files.replace(path, b"new")

    assert seen == [(False, b"old"), (True, b"new")]


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_need_not_sync_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, fails: bool
) -> None:
    """Where it cannot, the file is replaced all the same; a disk that fails is not passed over."""
    fsync = os.fsync

    def no_folders(opened: int) -> None:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(opened)

    monkeypatch.setattr(os, "fsync", no_folders)

    with pytest.raises(OSError, match=os.strerror(number)) if fails else contextlib.nullcontext():
        files.replace(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_private_file_is_never_open_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has mode 0600 from its first moment on, whatever the umask."""
    modes: list[int] = []
    fdopen = os.fdopen

    def recording(number: int, *options: str) -> object:
        modes.append(stat.S_IMODE(os.fstat(number).st_mode))
        return fdopen(number, *options)

    monkeypatch.setattr(os, "fdopen", recording)
    umask = os.umask(0)
    try:
        files.create_private(tmp_path / "key", "secret\n")
    finally:
        os.umask(umask)

    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert (tmp_path / "key").read_text() == "secret\n"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_private_file_overwrites_nothing(tmp_path: Path, kind: str) -> None:
    """A file that is there stays as it is, and a link is not followed to where others might read."""
    path, target = tmp_path / "key", tmp_path / "target"
    if kind == "file":
        path.write_text("old")
    else:
        path.symlink_to(target)

    with pytest.raises(FileExistsError):
        files.create_private(path, "new")

    assert not target.exists()
    assert kind == "link" or path.read_text() == "old"
