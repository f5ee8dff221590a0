"""RAVDESS is fetched as one archive over HTTP; a download that was stopped goes on."""

import hashlib
import http.server
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.runtime import synthetic_clip
from training import corpora, fetch, fetch_ravdess, ravdess
from training.settings import FetchSettings

NAMES = [f"Actor_{actor:02}/03-01-{emotion}-01-02-01-{actor:02}.wav" for actor in (1, 2) for emotion in ravdess.LABELS]
CALM = "Actor_01/03-01-02-01-02-01-01.wav"


class Server(http.server.ThreadingHTTPServer):
    """Serves one archive, with ranges or without; may break off."""

    content: bytes
    ranges = True
    breaks_off_at: int | None = None
    asked: list[str | None]

    @property
    def address(self) -> str:
        """Return the address of the folder."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the archive from the asked byte on."""

    server: Server

    def do_GET(self) -> None:
        """Send what is asked for."""
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        begin = int(re.findall(r"\d+", asked)[0]) if asked and self.server.ranges else 0
        content = self.server.content
        if begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin : self.server.breaks_off_at])

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return an archive of a few clips at 48 kHz, one of them stereo, which the project takes for the official one."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for number, name in enumerate([*NAMES, CALM, "README.txt", "../outside.wav"]):
            clip = np.repeat(synthetic_clip(20_000 + 100 * number), 3)
            sound = io.BytesIO()
            soundfile.write(sound, np.stack([clip, clip], axis=1) if number == 0 else clip, 48_000, format="WAV")
            members.writestr(name, sound.getvalue())
    made = archive.getvalue()
    monkeypatch.setattr(fetch_ravdess, "MD5", hashlib.md5(made).hexdigest())
    monkeypatch.setattr(ravdess, "FILES", len(NAMES) + 1)
    return made


@pytest.fixture
def server(content: bytes) -> Iterator[Server]:
    """Return a server of this archive."""
    with Server(("127.0.0.1", 0), Handler) as made:
        made.content, made.asked = content, []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def fetched(folder: Path, server: Server) -> int:
    """Carry out `moodwire data fetch ravdess`."""
    return fetch.fetch(FetchSettings(folder, server.address, "ravdess"))


def test_fetched_recordings_can_be_read(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The licence is shown, clips come as mono at 16 kHz, those without a counterpart in CREMA-D are left out.

    Nothing is unpacked but recordings, and a second call asks for nothing.
    """
    assert fetched(tmp_path, server) == 0

    assert "no\ncommercial use" in capsys.readouterr().out
    clips = ravdess.read_clips(tmp_path, ("ANG", "NEU"))
    assert {(clip.speaker, clip.sex, clip.label, clip.sentence) for clip in clips} == {
        (actor, sex, label, "dogs") for actor, sex in ((1, "Male"), (2, "Female")) for label in ("ANG", "NEU")
    }
    assert len(ravdess.read_clips(tmp_path, tuple(ravdess.LABELS.values()))) == len(NAMES)
    (tmp_path / "ravdess" / "Actor_01" / "._03-01-05-01-02-01-01.wav").write_bytes(b"Mac OS X leaves this behind")
    assert ravdess.read_clips(tmp_path, ("ANG", "NEU")) == clips
    stereo = next(clip for clip in clips if str(clip.path).endswith(NAMES[0]))
    assert corpora.read_audio(stereo, 16_000).shape == (20_000,)
    assert sorted(path.name for path in (tmp_path / "ravdess").iterdir()) == ["Actor_01", "Actor_02"]
    assert not list(tmp_path.glob("*.wav"))

    assert fetched(tmp_path, server) == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_stopped_goes_on(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, ranges: bool
) -> None:
    """What came before the connection broke is not asked for again; a server that knows no ranges sends all of it."""
    server.ranges = ranges
    server.breaks_off_at = 2 * fetch_ravdess.CHUNK + 5_000

    assert fetched(tmp_path, server) == 2
    assert "start again to go on" in capsys.readouterr().err

    server.breaks_off_at = None
    assert fetched(tmp_path, server) == 0
    assert server.asked == [None, f"bytes={2 * fetch_ravdess.CHUNK}-"]


def test_a_download_that_is_whole_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    """Stopped between the last byte and the check, it is checked and unpacked."""
    (tmp_path / "ravdess").mkdir()
    (tmp_path / "ravdess" / fetch_ravdess.NAME).with_suffix(".part").write_bytes(server.content)

    assert fetched(tmp_path, server) == 0

    assert len(ravdess.read_clips(tmp_path, ("ANG",))) == 2


def test_another_archive_is_refused(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An archive with another md5 is named, and is not kept."""
    server.content = server.content[:-1] + b"!"

    assert fetched(tmp_path, server) == 2

    assert re.search(r"gave \d+ bytes with md5 [0-9a-f]{32}, the official archive has", capsys.readouterr().err)
    assert not list((tmp_path / "ravdess").iterdir())


def test_an_archive_without_the_recordings_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Should the official archive ever hold something else, that is a sentence and not a complete corpus."""
    monkeypatch.setattr(ravdess, "FILES", 1_440)

    assert fetched(tmp_path, server) == 2

    assert "does not hold the 1440 recordings" in capsys.readouterr().err
