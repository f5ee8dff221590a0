"""The store's client: sends commands to the servers that keep their keys, and raises one kind of error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from common import urls
from server.errors import StoreAwayError, UnusableError
from server.store.nodes import Error, Nodes, key_of, sync, waits_for_disk
from server.store.types import Word

_COMMANDS_PER_TRIP = 2000


class Client:
    """Commands to a store; nothing is sent before the first one.

    Every method raises `StoreAwayError` when the store cannot answer, or answers with an error.

    Args:
        url: `redis_url` of the settings.

    Raises:
        UnusableError: the URL is not usable.
    """

    def __init__(self, url: str) -> None:
        self.place = urls.readable(url)
        """The URL for people, without what is secret in it."""
        self._waits_for_disk = False
        try:
            self._nodes = Nodes(url)
        except ValueError:
            # Not `from` the error, which repeats a part of the URL.
            raise UnusableError(
                f"redis_url {self.place!r} is no address of a store: use redis://host:port/0, rediss://…, "
                "cluster+redis://host:port, cluster+rediss://… or unix:///path; 0 is the number of a database, options "
                "behind ? are those of redis-py, and # / ? @ in a password or path are %23 %2F %3F %40"
            ) from None

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several servers."""
        return self._nodes.is_cluster

    def close(self) -> None:
        """Close all connections."""
        self._nodes.close()

    def require_durability(self) -> None:
        """Check that no server loses what it confirms.

        Raises:
            UnusableError: a server is too old or does not keep what it confirms.
        """
        with self._translated():
            for node in self._nodes.primaries():
                self._waits_for_disk = waits_for_disk(node, self.place)

    def load_functions(self, name: str, code: str, outdated: str) -> None:
        """Load a library of functions on every server that does not have it, and remove an outdated one.

        A store with full memory loads nothing, but what it has still runs.
        """
        with self._translated():
            for node in self._nodes.primaries():
                if not _has_library(node, name, code):
                    node.execute_command("FUNCTION LOAD", "REPLACE", code)  # type: ignore[no-untyped-call]
                if _has_library(node, outdated, ""):
                    node.execute_command("FUNCTION DELETE", outdated)  # type: ignore[no-untyped-call]

    def rewrite_files(self) -> bool:
        """Begin to rewrite the append-only file of every server; False if one is being rewritten already."""
        with self._translated():
            for node in self._nodes.primaries():
                try:
                    node.bgrewriteaof()
                except redis.ResponseError as error:
                    if "in progress" not in str(error):
                        raise
                    return False
        return True

    def now(self) -> int:
        """Return the store's clock, Unix ms."""
        with self._translated():
            seconds, micros = self._nodes.primaries()[0].time()
        return int(seconds) * 1000 + int(micros) // 1000

    def execute(self, *command: Word) -> Any:
        """Send one command and return its reply."""
        with self._translated():
            return self._nodes.of(key_of(command)).execute_command(*command)  # type: ignore[no-untyped-call]

    def execute_all(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send several commands in few trips and return their replies."""
        found: list[Any] = [None] * len(commands)
        with self._translated():
            for node, places in self._nodes.divide(commands):
                for first in range(0, len(places), _COMMANDS_PER_TRIP):
                    some = places[first : first + _COMMANDS_PER_TRIP]
                    replies = _pipeline(node, [commands[place] for place in some], transaction=False)
                    for place, reply in zip(some, replies, strict=True):
                        found[place] = reply
        return found

    def transaction(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send several commands that read about one device in one transaction and return their replies."""
        with self._translated():
            node = self._nodes.of(key_of(commands[0]))
            try:
                return _pipeline(node, commands, transaction=True)
            except redis.OutOfMemoryError:
                # A full store takes no transaction, and no record either that could come between two commands.
                return _pipeline(node, commands, transaction=False)

    def send(self, commands: Sequence[Sequence[Word]]) -> Callable[[], list[Any]]:
        """Send several commands and return what waits for their replies, errors among them, until all is on disk.

        What is returned is called once, from any thread.
        """
        with self._translated():
            sent = self._nodes.send(commands, wait=self._waits_for_disk)

        def replies() -> list[Any]:
            with self._translated():
                return sent.replies()

        return replies

    def sync(self) -> None:
        """Wait until everything is on disk that this thread has sent; only for a client that one thread uses."""
        if self._waits_for_disk:  # other servers synchronise before each answer
            with self._translated():
                for node in self._nodes.primaries():
                    sync(node)

    def away(self, error: BaseException) -> StoreAwayError:
        """Return an error as ours; the servers of a cluster are looked up anew next time."""
        self._nodes.forget()
        return StoreAwayError(f"the store at {self.place} does not answer: {error}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Error as error:
            raise self.away(error) from error


def _has_library(node: Any, name: str, code: str) -> bool:
    """Return whether a server has a library of functions of that name whose code contains the given text."""
    found = node.execute_command("FUNCTION LIST", "LIBRARYNAME", name, "WITHCODE")
    return any(code.encode() in library[library.index(b"library_code") + 1] for library in found)


def _pipeline(node: Any, commands: Sequence[Sequence[Word]], *, transaction: bool) -> list[Any]:
    """Send commands to one server in one trip and return their replies."""
    pipe = node.pipeline(transaction=transaction)
    for command in commands:
        pipe.execute_command(*command)
    replies: list[Any] = pipe.execute()
    return replies
