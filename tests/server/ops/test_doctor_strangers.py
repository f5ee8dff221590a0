"""The doctor reaches the store as a stranger does, and says so."""

import tempfile
from pathlib import Path

from brokers import free_port
from services import running_store

from server.ops import doctor_strangers
from server.store.nodes import Nodes


def found(url: str, port: int | None) -> tuple[str, str]:
    """Return the result and what is seen, for a store at a URL that listens on a port."""
    nodes = Nodes(url)
    finding = doctor_strangers.check(nodes.primaries()[0], url, None if port is None else str(port))
    nodes.close()
    return finding.result, finding.seen


def test_a_store_that_asks_for_no_password_on_a_port_is_warned_of(tmp_path: Path) -> None:
    """By its port or by its socket beside an open port: any local user could make an operator's token."""
    port = free_port()
    with running_store(tmp_path, extra=["--port", str(port)]) as store:
        result, seen = found(f"redis://127.0.0.1:{port}", port)
        assert result == "warn"
        assert "reads and changes everything: it asks for no password" in seen
        result, seen = found(store.url, port)
        assert result == "warn"
        assert f"beside its socket the store listens on port {port}" in seen
        store.client.config_set("requirepass", "not-guessed")
        assert found(f"redis://:not-guessed@127.0.0.1:{port}", port)[0] == "ok"
        assert found(store.url.replace("unix://", "unix://:not-guessed@"), port)[0] == "ok"
        store.client.close()


def test_a_socket_of_its_owner_lets_no_stranger_in() -> None:
    """A socket without a port is right as made by us; open to all in a folder that all may enter, it is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, running_store(Path(folder)) as store:
        assert found(store.url, 0)[0] == "ok"
        socket = Path(store.url.removeprefix("unix://"))
        socket.chmod(0o777)
        assert found(store.url, None)[0] == "ok", "the folder is closed to others"
        Path(folder).chmod(0o755)
        result, seen = found(store.url, 0)
        assert result == "warn"
        assert "every user of this machine may open" in seen
