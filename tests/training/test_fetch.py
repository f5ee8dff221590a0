"""CREMA-D is fetched from a server over HTTP, checked file by file, and laid out so that it can be trained on."""

import csv
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from models.runtime import synthetic_clip
from training import corpora, fetch
from training.settings import FetchSettings

NAMES = ("1001_IEO_ANG_XX.wav", "1001_IEO_NEU_XX.wav", "1002_TIE_HAP_XX.wav", "1002_TIE_SAD_XX.wav")
VOTES = """"","A","D","F","H","N","S","fileName","numResponses"
"100001",7,0,1,0,2,0,"1001_IEO_ANG_XX",10
"100002",0,0,0,0,9,0,"1001_IEO_NEU_XX",9
"100003",0,0,0,3,6,0,"1002_TIE_HAP_XX",9
"100004",0,0,0,0,4,4,"1002_TIE_SAD_XX",8
"200001",0,9,0,0,0,0,"1001_IEO_ANG_XX",9
"""
"""As the authors' table has them; in its last row somebody saw the clip."""


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder, and knows what was asked of it."""

    asked: list[str]

    @property
    def address(self) -> str:
        """Return the address of the folder."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Writes down instead of printing."""

    server: Server

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Remember the file."""
        del code, size
        self.server.asked.append(self.path.strip("/"))

    def log_error(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Return a folder with four files as the official release has them and votes; the last two are one recording."""
    folder = tmp_path / "released"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        soundfile.write(folder / name, synthetic_clip(20_000 + min(number, 2)), 16_000)
    (folder / fetch.VOTES).write_text(VOTES)
    return folder


@pytest.fixture
def server(released: Path) -> Iterator[Server]:
    """Return a server of these files."""
    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(released))) as made:
        made.asked = []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def checksums(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the hashes of these files, and let the command know no others."""
    hashes = {name: hashlib.sha256((released / name).read_bytes()).hexdigest() for name in NAMES}
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "crema-d.sha256").write_text("".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items()))
    (assets / "crema-d-actors.csv").write_bytes((fetch.ASSETS / "crema-d-actors.csv").read_bytes())
    monkeypatch.setattr(fetch, "ASSETS", assets)
    return hashes


@pytest.mark.usefixtures("checksums")
def test_fetched_recordings_can_be_trained_on(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The licence is shown, clips have their lengths and votes, and the recording under two labels is left out."""
    assert fetch.fetch(FetchSettings(tmp_path / "data", server.address)) == 0

    clips = corpora.read_clips(tmp_path / "data", tuple(corpora.EMOTIONS))
    assert "Open Database License" in capsys.readouterr().out
    assert [(clip.speaker, clip.sex, clip.label) for clip in clips] == [(1001, "Male", "ANG"), (1001, "Male", "NEU")]
    assert [len(corpora.read_audio(clip, 16_000)) for clip in clips] == [20_000, 20_001]
    assert [(clip.votes["ANG"], clip.votes["NEU"], sum(clip.votes.values())) for clip in clips] == [
        (7, 2, 10),
        (0, 9, 9),
    ]


def test_a_download_that_was_stopped_goes_on(server: Server, checksums: dict[str, str], tmp_path: Path) -> None:
    """What is there and right is not asked for again; what is there and wrong is."""
    fetch.crema_d(tmp_path, checksums, [server.address], server.address)
    (tmp_path / "audio" / NAMES[0]).unlink()
    (tmp_path / "audio" / NAMES[1]).write_bytes(b"half")
    server.asked.clear()

    fetch.crema_d(tmp_path, checksums, [server.address], server.address)

    assert sorted(server.asked) == sorted(NAMES[:2])


def test_another_server_helps_out(server: Server, checksums: dict[str, str], tmp_path: Path) -> None:
    """Where the first source has no such file, the next one is asked."""
    fetch.crema_d(tmp_path, checksums, [f"{server.address}/nowhere", server.address], server.address)

    assert len(list((tmp_path / "audio").glob("*.wav"))) == 4


def test_a_file_that_is_not_the_official_one_is_refused(
    released: Path, server: Server, checksums: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed recording is named, with where it came from, and is not kept."""
    del checksums
    (released / NAMES[2]).write_bytes(b"something else")

    assert fetch.fetch(FetchSettings(tmp_path / "data", server.address)) == 2

    error = capsys.readouterr().err
    assert f"{NAMES[2]} cannot be downloaded" in error
    assert "14 bytes that are not the official file" in error
    assert not (tmp_path / "data" / "crema-d" / "audio" / NAMES[2]).exists()
    assert not (tmp_path / "data" / "crema-d" / "clips.csv").exists()


@pytest.mark.usefixtures("checksums")
@pytest.mark.parametrize("votes", [VOTES.replace("1002_TIE_SAD_XX", "1003_TIE_SAD_XX"), "<html>busy</html>", ""])
def test_votes_that_lack_a_clip_are_refused(
    votes: str, released: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another table is named before any recording is fetched: nobody would train without votes and not know it."""
    (released / fetch.VOTES).write_text(votes)

    assert fetch.fetch(FetchSettings(tmp_path / "data", server.address)) == 2

    assert f"{fetch.VOTES} cannot be downloaded" in capsys.readouterr().err
    assert server.asked == [fetch.VOTES]


def test_a_server_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No connection is one sentence, and exit code 2."""
    assert fetch.fetch(FetchSettings(tmp_path, "http://127.0.0.1:9")) == 2

    assert "start again to go on" in capsys.readouterr().err


def test_the_shipped_list_is_that_of_the_recordings(real_data_dir: Path) -> None:
    """The hashes that the project ships are those of the corpus it was trained on, and every actor is known."""
    shipped = fetch._read_checksums(fetch.ASSETS / "crema-d.sha256")
    with (real_data_dir / "crema-d" / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (fetch.ASSETS / "crema-d-actors.csv").open(newline="") as file:
        actors = {row["actor"]: row for row in csv.DictReader(file)}

    assert shipped == {row["file"]: row["sha256"] for row in rows}
    assert {row["actor"]: row["sex"] for row in rows} == {actor: row["sex"] for actor, row in actors.items()}
