"""RAVDESS, EmoDB and the prompts are fetched as archives over HTTP; a download that was stopped goes on."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.runtime import synthetic_clip
from training import catalogue, corpora, emodb, fetch, fetch_archive, prompts, ravdess
from training.settings import FetchSettings

NAMES = {
    "ravdess": [
        f"Actor_{actor:02}/03-01-{number}-01-02-01-{actor:02}.wav" for actor in (1, 2) for number in ravdess.LABELS
    ],
    "emodb": [f"wav/{actor}a01{letter}a.wav" for actor in ("03", "08") for letter in emodb.LABELS],
}
"""Of each corpus one clip of each emotion by a man and a woman."""


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


@pytest.fixture(params=NAMES)
def corpus(request: pytest.FixtureRequest) -> str:
    """Return each corpus that is an archive."""
    return str(request.param)


@pytest.fixture
def content(corpus: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return an archive of a few clips at 48 kHz, one of them stereo, which the project takes for the official one."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for number, name in enumerate([*NAMES[corpus], "README.txt", "../outside.wav"]):
            clip = np.repeat(synthetic_clip(20_000 + 100 * number), 3)
            sound = io.BytesIO()
            soundfile.write(sound, np.stack([clip, clip], axis=1) if number == 0 else clip, 48_000, format="WAV")
            members.writestr(f"{corpus}/{name}", sound.getvalue())
    made = archive.getvalue()
    (official,) = fetch_archive.ARCHIVES[corpus]
    ours = official._replace(md5=hashlib.md5(made).hexdigest(), files=len(NAMES[corpus]))
    monkeypatch.setitem(fetch_archive.ARCHIVES, corpus, (ours,))
    speech = ravdess.SPEECH._replace(of_actor=len(ravdess.LABELS))
    monkeypatch.setattr(ravdess, "SPEECH", speech)
    monkeypatch.setattr(ravdess.read_clips, "__defaults__", (speech,))
    monkeypatch.setattr(emodb, "FILES", len(NAMES["emodb"]))
    return made


def package(names: list[str]) -> bytes:
    """Return a package of Debian with a clip at 8 kHz under each name, as many seconds long as its last digits say."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as members:
        for number, name in enumerate(names):
            sound = io.BytesIO()
            clip = synthetic_clip(8_000 * int(re.findall(r"\d+", name)[-1]) + number)
            soundfile.write(sound, clip, 8_000, format="WAV")
            member = tarfile.TarInfo(f"./usr/share/asterisk/sounds/{name}")
            member.size = sound.tell()
            members.addfile(member, io.BytesIO(sound.getvalue()))
    made = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        made += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        made += b"\n" * (len(content) % 2)
    return made


@pytest.fixture
def server(content: bytes) -> Iterator[Server]:
    """Return a server of this archive."""
    yield from serving(content)


def serving(content: bytes) -> Iterator[Server]:
    """Yield a server of an archive."""
    with Server(("127.0.0.1", 0), Handler) as made:
        made.content, made.asked = content, []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def fetched(folder: Path, server: Server, corpus: str) -> int:
    """Carry out `moodwire data fetch`."""
    return fetch.fetch(FetchSettings(folder, server.address, corpus))


def read(folder: Path, corpus: str, labels: tuple[str, ...]) -> list[corpora.Clip]:
    """Return the clips of a corpus."""
    return catalogue.CORPORA[corpus].read(folder, labels)


def test_fetched_recordings_can_be_read(
    server: Server, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The licence is shown, clips come as mono at 16 kHz, those with other labels are left out.

    Nothing is unpacked but recordings, and a second call asks for nothing.
    """
    assert fetched(tmp_path, server, corpus) == 0

    assert "Creative Commons" in capsys.readouterr().out
    clips = read(tmp_path, corpus, ("ANG", "NEU"))
    men, women = {"ravdess": (1, 2), "emodb": (3, 8)}[corpus]
    assert {(clip.speaker, clip.sex, clip.label) for clip in clips} == {
        (actor, sex, label) for actor, sex in ((men, "Male"), (women, "Female")) for label in ("ANG", "NEU")
    }
    every = read(tmp_path, corpus, catalogue.CORPORA[corpus].labels)
    assert len(every) == len(NAMES[corpus])
    stereo = next(clip for clip in every if str(clip.path).endswith(NAMES[corpus][0]))
    assert corpora.read_audio(stereo, 16_000).shape == (20_000,)
    folders = sorted(path.name for path in (tmp_path / corpus).iterdir())
    assert folders == {"ravdess": ["Actor_01", "Actor_02"], "emodb": ["wav"]}[corpus]
    assert not list(tmp_path.glob("*.wav"))

    hidden = tmp_path / corpus / Path(NAMES[corpus][1]).parent / f"._{Path(NAMES[corpus][1]).name}"
    hidden.write_bytes(b"Mac OS X leaves this behind")
    assert read(tmp_path, corpus, ("ANG", "NEU")) == clips

    assert fetched(tmp_path, server, corpus) == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_stopped_goes_on(
    server: Server, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, ranges: bool
) -> None:
    """What came before the connection broke is not asked for again; a server that knows no ranges sends all of it."""
    server.ranges = ranges
    server.breaks_off_at = 2 * fetch_archive.CHUNK + 5_000

    assert fetched(tmp_path, server, corpus) == 2
    assert "start again to go on" in capsys.readouterr().err

    server.breaks_off_at = None
    assert fetched(tmp_path, server, corpus) == 0
    assert server.asked == [None, f"bytes={2 * fetch_archive.CHUNK}-"]


def test_a_download_that_is_whole_is_not_asked_for(server: Server, corpus: str, tmp_path: Path) -> None:
    """Stopped between the last byte and the check, it is checked and unpacked."""
    (tmp_path / corpus).mkdir()
    (tmp_path / corpus / fetch_archive.ARCHIVES[corpus][0].name).with_suffix(".part").write_bytes(server.content)

    assert fetched(tmp_path, server, corpus) == 0

    assert len(read(tmp_path, corpus, ("ANG",))) == 2


def test_another_archive_is_refused(
    server: Server, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive with another md5 is named, and is not kept."""
    server.content = server.content[:-1] + b"!"

    assert fetched(tmp_path, server, corpus) == 2

    assert re.search(r"gave \d+ bytes with md5 [0-9a-f]{32}, the official archive has", capsys.readouterr().err)
    assert not list((tmp_path / corpus).iterdir())


def test_an_archive_without_the_recordings_is_told(
    server: Server, corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Should the official archive ever hold something else, that is a sentence and not a complete corpus."""
    (ours,) = fetch_archive.ARCHIVES[corpus]
    monkeypatch.setitem(fetch_archive.ARCHIVES, corpus, (ours._replace(files=1_440),))

    assert fetched(tmp_path, server, corpus) == 2

    assert "does not hold the 1440 recordings" in capsys.readouterr().err


def test_prompts_come_from_a_package_of_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is not unpacked, names tell speaker and language, and too short or long prompts are not learned from."""
    names = ["vm-3.wav", "digits/2.wav", "digits/0.wav", "menu-6.wav", "silence/4.wav", "vm-3.gsm"]
    made = package([f"it_IT_m_Carlo/{name}" for name in names])
    archives = [archive for archive in fetch_archive.ARCHIVES["prompts"] if "-it-" in archive.name]
    ours = archives[0]._replace(md5=hashlib.md5(made).hexdigest(), files=4)
    monkeypatch.setitem(fetch_archive.ARCHIVES, "prompts", (ours,))
    monkeypatch.setattr(prompts, "FILES", {"it": 4})
    for server in serving(made):
        assert fetched(tmp_path, server, "prompts") == 0

    clips = read(tmp_path, "prompts", ("NEU",))

    assert [clip.path.name for clip in clips] == ["prompt-3-it-digits-2.wav", "prompt-3-it-vm-3.wav"]
    assert {(clip.speaker, clip.sex, clip.label) for clip in clips} == {(3, "Male", "NEU")}
    assert corpora.read_audio(clips[0], 16_000).shape == (32_002,)
    assert not read(tmp_path, "prompts", ())
    with pytest.raises(corpora.CorpusError, match="have no label 'ANG'"):
        read(tmp_path, "prompts", ("ANG",))
    clips[0].path.unlink()
    with pytest.raises(corpora.CorpusError, match="holds 3 of the 4 prompts of Asterisk: fetch them with"):
        read(tmp_path, "prompts", ("NEU",))
