"""The embedded store is the installed Redis, else Valkey from the wheel, and stays what it was."""

from pathlib import Path

import pytest
from services import running_store

from server.errors import UnusableError
from server.store.embedded import store_command


def test_redis_on_path_is_taken_first(tmp_path: Path) -> None:
    """With redis-server on PATH the store is Redis, and the URL is a socket in the folder."""
    start = store_command(tmp_path / "data")
    assert start.name.startswith("Redis ")
    assert start.url == f"unix://{tmp_path}/data/store.sock"


def test_without_redis_the_wheel_is_taken_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty PATH the store is Valkey, and its name says so."""
    monkeypatch.setenv("PATH", "")
    assert store_command(tmp_path).name.startswith("Valkey 9")


def test_a_folder_stays_with_the_server_that_made_it(tmp_path: Path) -> None:
    """A folder that Valkey has written is not handed to Redis, which could not read it."""
    assert store_command(tmp_path, wheel=True).name.startswith("Valkey")
    assert store_command(tmp_path).name.startswith("Valkey")


def test_neither_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis and without the wheel the error says what to install or set."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnusableError, match=r"install redis-server 7 or newer.*MOODWIRE_REDIS_URL"):
        store_command(tmp_path)


@pytest.mark.parametrize("name", ["a #1", "what?", "100%41", "Küche"])
def test_a_folder_of_any_name_has_a_store_that_answers(tmp_path: Path, name: str) -> None:
    """What means something in a URL is a character like others in the name of a folder."""
    with running_store(tmp_path / name) as store:
        assert store.client.ping()


def test_a_long_path_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    """A folder whose path is too long for a socket still has a store."""
    start = store_command(tmp_path / ("x" * 120))
    assert len(start.url) < 110
