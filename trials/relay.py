"""A relay between two sockets that fails as a network does: cut, slow, lossy, half open, or slow to tell of an end."""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

_PIECE_BYTES = 65_536
_LOOK_EVERY_S = 0.02
_SLOWLY_S = (0.05, 0.4)
"""How long a slow network takes for one piece."""
_AGAIN_S = (0.2, 1.6)
"""How long TCP takes to send again what was lost (RFC 6298: 200 ms in Linux, then doubling)."""
_LOSS, _RESET = 0.1, 0.02
"""Of a lossy network: share of pieces that are sent again, and of those after which the connection is broken."""

Address = Path | tuple[str, int]
"""Of a unix socket, or of a TCP port."""
Condition = Literal["open", "cut", "slow", "lossy", "mute", "deaf", "lingering"]
"""What comes through. `cut`: nothing, and nobody is told. `mute`: nothing from the client, and `deaf`: nothing from the
server, of which the other end knows nothing. `lingering`: all, but the server is not told that a client has gone."""


class Relay:
    """Takes connections on one address and hands what comes to another, and back.

    Args:
        to: Where what comes is handed to; a connection ends when that does.
        path: Unix socket where it listens; without one it listens on a free port of loopback.
        dice: Decides what a bad network loses.
    """

    def __init__(self, to: Address, path: Path | None = None, dice: random.Random | None = None) -> None:
        self._to = to
        self.dice = dice or random.Random()
        self.condition: Condition = "open"
        self.closing = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(1024)
        self.port = 0 if path else int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def being(self, condition: Condition) -> Iterator[None]:
        """Be in a condition as long as the context lasts; connections that lost something are broken after it."""
        self.condition = condition
        try:
            yield
        finally:
            self.condition = "open"

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self._to, Path) else socket.AF_INET
        with client, socket.socket(family) as server, contextlib.suppress(OSError):
            while self.condition == "cut" and not self.closing.is_set():
                time.sleep(_LOOK_EVERY_S)
            server.connect(str(self._to) if isinstance(self._to, Path) else self._to)
            for end in (client, server):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Connection(self, client, server).run()

    def takes(self, *, from_client: bool) -> bool:
        """Return whether what comes from one side reaches the other."""
        return self.condition not in ("cut", "mute" if from_client else "deaf")


class _Connection:
    """One connection; each direction has a thread."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._server = server
        self._over = threading.Event()

    def run(self) -> None:
        """Relay until one side ends."""
        back = threading.Thread(target=self._pass_on, args=(self._server, self._client), daemon=True)
        back.start()
        self._pass_on(self._client, self._server)
        while self._relay.condition == "lingering" and not self._relay.closing.is_set():
            time.sleep(_LOOK_EVERY_S)
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        back.join()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        relay, from_client = self._relay, source is self._client
        swallowed = False
        with contextlib.suppress(OSError):
            while not self._over.is_set() and not relay.closing.is_set():
                if swallowed and relay.takes(from_client=from_client):
                    break
                if not select.select([source], [], [], _LOOK_EVERY_S)[0]:
                    continue
                piece = source.recv(_PIECE_BYTES)
                if not piece:
                    break
                if not relay.takes(from_client=from_client):
                    swallowed = True
                elif not self._deliver(piece, sink):
                    break
        self._over.set()

    def _deliver(self, piece: bytes, sink: socket.socket) -> bool:
        """Hand on what came, as well as the network can; return whether the connection still stands."""
        relay = self._relay
        if relay.condition == "slow":
            time.sleep(relay.dice.uniform(*_SLOWLY_S))
        elif relay.condition == "lossy":
            if relay.dice.random() < _LOSS:
                time.sleep(relay.dice.uniform(*_AGAIN_S))
            if relay.dice.random() < _RESET:
                sink.sendall(piece[: relay.dice.randrange(len(piece))])
                for end in (self._client, self._server):  # a reset, not an end: RFC 9293, 3.10.7.4
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
        sink.sendall(piece)
        return True
