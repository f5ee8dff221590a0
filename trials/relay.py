"""A relay between two unix sockets that can be cut, as a network can: nothing comes through, and nobody is told."""

import contextlib
import select
import socket
import threading
import time
from pathlib import Path

_PIECE_BYTES = 65_536
_LOOK_EVERY_S = 0.05


class Relay:
    """Takes connections on one path and hands what comes to another, and back.

    Args:
        path: Where it listens.
        to: Where what comes is handed to; a connection ends when that does.
    """

    def __init__(self, path: Path, to: Path) -> None:
        self.url = f"unix://{path}"
        self._to = to
        self._is_cut = threading.Event()
        self._closing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Swallow everything for so long, in both directions; then the connections that were there are broken."""
        self._is_cut.set()
        time.sleep(seconds)
        self._is_cut.clear()

    def close(self) -> None:
        """Take no more connections."""
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            while self._is_cut.is_set():
                time.sleep(_LOOK_EVERY_S)
            server.connect(str(self._to))
            swallowed = False
            while not self._closing.is_set():
                if swallowed and not self._is_cut.is_set():
                    return
                for ready in select.select([client, server], [], [], _LOOK_EVERY_S)[0]:
                    piece = ready.recv(_PIECE_BYTES)
                    if not piece:
                        return
                    if self._is_cut.is_set():
                        swallowed = True
                    else:
                        (server if ready is client else client).sendall(piece)
