"""The servers of a store: a single one, or the primaries of a Redis Cluster, each with its part of the keys."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import AskError, MovedError, RedisClusterException
from redis.retry import Retry

from common.addresses import check_host
from server.errors import UnusableError
from server.store.types import Word

_OLDEST_MAJOR = 7
_TIMEOUT_S = 10.0
_WAIT_FOR_DISK_MS = 3000
"""Longer than the second that `appendfsync everysec` may take."""
_CLUSTER = "cluster+"

Error = (redis.RedisError, RedisClusterException, OSError)
"""What a server that is away, or refuses a command, makes redis-py raise."""


class _Part:
    """Commands on their way to one server.

    Args:
        node: The server.
        commands: In order.
        together: In one transaction, which is synchronised to disk once. Single commands are synchronised once for each
            16 KiB that arrive.
        wait: Wait for the disk.
    """

    def __init__(self, node: redis.Redis, commands: Sequence[Sequence[Word]], *, together: bool, wait: bool) -> None:
        sent: list[Sequence[Word]] = [("MULTI",), *commands, ("EXEC",)] if together else [*commands]
        self._awaited = len(sent)
        self._together = together
        if wait:
            sent.append(("WAITAOF", 1, 0, _WAIT_FOR_DISK_MS))
        self._waits = wait
        self._pool = node.connection_pool
        self._connection = cast("Any", self._pool.get_connection())
        try:
            self._connection.send_packed_command(self._connection.pack_commands(sent))
        except BaseException:
            self.drop()
            raise

    def receive(self) -> list[Any]:
        """Return the replies, errors among them."""
        received = [_reply(self._connection) for _ in range(self._awaited)]
        replies: Any = received[-1] if self._together else received
        if isinstance(replies, Exception):  # the first one says why the transaction failed
            raise next(reply for reply in received if isinstance(reply, Exception))
        return cast("list[Any]", replies)

    def sync(self) -> None:
        """Wait until all is on disk."""
        if self._waits and self._connection.read_response()[0] < 1:
            raise redis.TimeoutError(f"it did not write to disk in {_WAIT_FOR_DISK_MS} ms")

    def release(self) -> None:
        """Give the connection back to the pool; nothing is left to read on it."""
        self._pool.release(self._connection)

    def drop(self) -> None:
        """Close the connection, because replies may still arrive on it."""
        self._connection.disconnect()
        self.release()


class Sent:
    """Commands on their way to the servers; call `replies` once.

    Args:
        parts: What went to each server, and the places of its commands among all.
        count: Number of all commands.
    """

    def __init__(self, parts: Sequence[tuple[_Part, Sequence[int]]], count: int) -> None:
        self._parts = parts
        self._count = count

    def replies(self) -> list[Any]:
        """Return one reply for each command, errors among them, once all is on disk."""
        replies: list[Any] = [None] * self._count
        with ExitStack() as on_error:
            for part, _ in self._parts:
                on_error.callback(part.drop)
            for part, places in self._parts:
                for place, reply in zip(places, part.receive(), strict=True):
                    if _moved(reply):
                        raise reply
                    replies[place] = reply
            for part, _ in self._parts:
                part.sync()
            on_error.pop_all()
        for part, _ in self._parts:
            part.release()
        return replies


class Nodes:
    """The servers of a store; nothing is sent before the first command.

    redis-py's client of a cluster sends commands one by one, or asks the server for the keys of each, which is slow for
    functions. So it only says which node keeps a key, and each node is used like a single server.

    Args:
        url: `redis://`, `rediss://`, `unix://`, or the first two with `cluster+` before them and any of the nodes.

    Raises:
        ValueError: it is none of these, or it has an option that there is not.
    """

    def __init__(self, url: str) -> None:
        self.is_cluster = url.startswith((f"{_CLUSTER}redis://", f"{_CLUSTER}rediss://"))
        self._url = url.removeprefix(_CLUSTER) if self.is_cluster else url
        self._cluster: Any = None
        # The caller decides about another try.
        self._options: dict[str, Any] = {
            "socket_timeout": _TIMEOUT_S,
            "socket_connect_timeout": _TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
        }
        self._only = redis.Redis.from_url(self._url, **self._options)
        _check(self._url, self._only.connection_pool)

    def of(self, key: Word) -> redis.Redis:
        """Return the server that keeps a key."""
        if not self.is_cluster:
            return self._only
        cluster = self._connected()
        found: redis.Redis = cluster.get_redis_connection(cluster.get_node_from_key(key))
        return found

    def primaries(self) -> list[redis.Redis]:
        """Return all servers that keep keys."""
        if not self.is_cluster:
            return [self._only]
        cluster = self._connected()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def send(self, commands: Sequence[Sequence[Word]], *, wait: bool) -> Sent:
        """Send commands, each to the server that keeps its key; `wait` makes the replies wait for the disk."""
        parts: list[tuple[_Part, list[int]]] = []
        with ExitStack() as on_error:
            for node, places in self.divide(commands):  # all servers work in parallel
                own = [commands[place] for place in places]
                # A cluster has no transactions over several devices.
                part = _Part(node, own, together=not self.is_cluster, wait=wait)
                on_error.callback(part.drop)
                parts.append((part, places))
            on_error.pop_all()
        return Sent(parts, len(commands))

    def divide(self, commands: Sequence[Sequence[Word]]) -> list[tuple[redis.Redis, list[int]]]:
        """Return the servers, each with the places of its commands."""
        if not self.is_cluster:
            return [(self._only, list(range(len(commands))))]
        parts: dict[int, tuple[redis.Redis, list[int]]] = {}
        for place, command in enumerate(commands):
            client = self.of(key_of(command))
            parts.setdefault(id(client), (client, []))[1].append(place)
        return list(parts.values())

    def forget(self) -> None:
        """Look up the nodes of a cluster again next time."""
        if self._cluster is not None:
            for node in self._cluster.get_nodes():
                if node.redis_connection:  # else its connections stay open until garbage collection
                    node.redis_connection.connection_pool.disconnect()
            self._cluster.close()
            self._cluster = None

    def close(self) -> None:
        """Close all connections."""
        self.forget()
        self._only.close()

    def _connected(self) -> Any:
        if self._cluster is None:
            self._cluster = RedisCluster.from_url(self._url, **self._options)
        return self._cluster


def _check(url: str, pool: redis.ConnectionPool) -> None:
    """Refuse what redis-py leaves out of a URL, or notices only when it connects.

    Raises:
        ValueError: a part cannot be used.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.netloc.rpartition("@")[2]:
        raise ValueError("a unix socket has no host")  # redis-py would leave it out
    if "#" in url:
        raise ValueError("redis-py leaves out what follows #")
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?/?", parts.path):
        raise ValueError("the path is no number of a database")  # redis-py would take 0
    check_host(parts.hostname or "")
    try:
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, redis.RedisError) as error:
        raise ValueError("the query has an option that redis-py does not know") from error


def waits_for_disk(node: Any, place: str) -> bool:
    """Return whether a server has WAITAOF; one without it must write to disk before each reply.

    Args:
        node: The server.
        place: Its address, for people.

    Raises:
        UnusableError: it is too old, or would lose what it confirms.
    """
    version = _version(node)
    if int(version.partition(".")[0]) < _OLDEST_MAJOR:
        raise UnusableError(f"the store at {place} is Redis {version}: use Redis 7 or newer, or Valkey")
    waits = bool(node.execute_command("COMMAND LIST", "FILTERBY", "PATTERN", "waitaof"))
    keeps = {"appendonly": "?", "appendfsync": "?"}
    try:
        for name in keeps:
            keeps[name] = node.execute_command("CONFIG GET", name).get(name, "?")
    except redis.ResponseError:  # CONFIG is forbidden on many hosted stores
        if waits:
            return True  # nobody can look, so whoever runs it answers for it
    # Under everysec WAITAOF is no proof: Valkey 9.1 answers it before the disk has what was written (see
    # docs/decisions/confirmation-model.md), and it says nothing of what another connection wrote.
    if keeps["appendonly"] != "yes" or keeps["appendfsync"] != "always":
        raise UnusableError(
            f"the store at {place} (version {version}) would lose what it confirms: it has appendonly "
            f"{keeps['appendonly']} and appendfsync {keeps['appendfsync']}; set appendonly yes and appendfsync always"
        )
    return waits


def _version(node: Any) -> str:
    """Return a server's version, also to a user who may not run dangerous commands (ACL SETUSER … -@dangerous)."""
    try:
        info = node.execute_command("INFO", "server")
    except redis.exceptions.NoPermissionError:
        version: bytes = node.execute_command("HELLO")[b"version"]
        return version.decode()
    return str(info.get("valkey_version") or info["redis_version"])


def sync(node: Any) -> None:
    """Wait until everything that the calling thread has sent to a server is on its disk.

    WAITAOF covers one connection, and the pool gives a single thread the same one each time.
    """
    if node.execute_command("WAITAOF", 1, 0, _WAIT_FOR_DISK_MS)[0] < 1:
        raise redis.TimeoutError(f"it did not write to disk in {_WAIT_FOR_DISK_MS} ms")


def _reply(connection: Any) -> Any:
    """Return the next reply, or the error that stands in its place."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def key_of(command: Sequence[Word]) -> Word:
    """Return the first key of a command."""
    return command[3] if command[0] in {"FCALL", "FCALL_RO", "EVAL"} else command[1]


def _moved(reply: Any) -> bool:
    """Return whether a node says that another one now keeps the key."""
    return isinstance(reply, MovedError | AskError)
