"""Which server keeps a key: the only one there is, or one of the primaries of a Redis Cluster."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import AskError, MovedError, RedisClusterException
from redis.retry import Retry

from server.errors import UnusableError

_OLDEST_MAJOR = 7
_TIMEOUT_S = 10.0
_WAIT_FOR_DISK_MS = 3000
"""Longer than the second that `appendfsync everysec` may take."""
_CLUSTER = "cluster+"

Error = (redis.RedisError, RedisClusterException, OSError)
"""What the client raises when the store cannot be reached or does not do what it is asked."""
Word = str | int | bytes


class _Part:
    """Commands that are on their way to one server.

    Args:
        node: Who is asked.
        commands: What is asked.
        together: In one transaction, which is synchronised once. Commands by themselves would be once for each 16 KiB
            that come in.
        wait: Whether the disk is to be waited for.
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
        found = [_reply(self._connection) for _ in range(self._awaited)]
        answers = found[-1] if self._together else found
        if isinstance(answers, Exception):
            raise answers
        replies: list[Any] = answers
        return replies

    def sync(self) -> None:
        """Wait until all is on disk."""
        if self._waits and self._connection.read_response()[0] < 1:
            raise redis.TimeoutError(f"it did not write to disk in {_WAIT_FOR_DISK_MS} ms")

    def release(self) -> None:
        """Let others have the connection, with nothing more to read on it."""
        self._pool.release(self._connection)

    def drop(self) -> None:
        """End the connection, on which something may still come."""
        self._connection.disconnect()
        self.release()


class Sent:
    """Commands that are on their way to the servers; `replies` is to be called once.

    Args:
        parts: What went to each server, and the places of its commands among all.
        count: Commands in all.
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
    """The servers of a store; nothing is sent before the first question.

    The client of a cluster sends commands one by one or asks for the keys of each, which is slow for functions. So the
    cluster's client is only asked who keeps which key, and each node is spoken to as if it were alone.

    Args:
        url: `redis://`, `rediss://`, `unix://`, or the first two with `cluster+` before them and any of the nodes.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, url: str) -> None:
        self.is_cluster = url.startswith((f"{_CLUSTER}redis://", f"{_CLUSTER}rediss://"))
        self._url = url.removeprefix(_CLUSTER) if self.is_cluster else url
        self._cluster: Any = None
        # Whoever calls decides about another try, so the client makes none of its own.
        self._options: dict[str, Any] = {
            "socket_timeout": _TIMEOUT_S,
            "socket_connect_timeout": _TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
        }
        self._only = redis.Redis.from_url(self._url, **self._options)

    def of(self, key: Word) -> redis.Redis:
        """Return who keeps a key."""
        if not self.is_cluster:
            return self._only
        cluster = self._there()
        found: redis.Redis = cluster.get_redis_connection(cluster.get_node_from_key(key))
        return found

    def primaries(self) -> list[redis.Redis]:
        """Return all who keep keys."""
        if not self.is_cluster:
            return [self._only]
        cluster = self._there()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def send(self, commands: Sequence[Sequence[Word]], *, wait: bool) -> Sent:
        """Send commands, each to where its key is kept.

        Args:
            commands: What is asked.
            wait: Whether the disk is to be waited for.
        """
        parts: list[tuple[_Part, list[int]]] = []
        with ExitStack() as on_error:
            for node, places in self.divide(commands):  # all servers work at the same time
                own = [commands[place] for place in places]
                # A cluster has no transactions over several devices.
                part = _Part(node, own, together=not self.is_cluster, wait=wait)
                on_error.callback(part.drop)
                parts.append((part, places))
            on_error.pop_all()
        return Sent(parts, len(commands))

    def divide(self, commands: Sequence[Sequence[Word]]) -> list[tuple[redis.Redis, list[int]]]:
        """Return who is to be asked which of the commands, by their places."""
        if not self.is_cluster:
            return [(self._only, list(range(len(commands))))]
        parts: dict[int, tuple[redis.Redis, list[int]]] = {}
        for place, command in enumerate(commands):
            client = self.of(key_of(command))
            parts.setdefault(id(client), (client, []))[1].append(place)
        return list(parts.values())

    def forget(self) -> None:
        """Ask anew who keeps what, next time."""
        if self._cluster is not None:
            for node in self._cluster.get_nodes():
                if node.redis_connection:  # else its connections stay open until they are collected
                    node.redis_connection.connection_pool.disconnect()
            self._cluster.close()
            self._cluster = None

    def close(self) -> None:
        """Let go of all connections."""
        self.forget()
        self._only.close()

    def _there(self) -> Any:
        if self._cluster is None:
            self._cluster = RedisCluster.from_url(self._url, **self._options)
        return self._cluster


def waits_for_disk(node: Any, place: str) -> bool:
    """Return whether a server can be asked to wait until all is on disk, which others do before each answer.

    Args:
        node: Who is asked.
        place: Where that is, for people.

    Raises:
        UnusableError: it is too old, or would lose what it confirms.
    """
    info = node.execute_command("INFO", "server")
    version = str(info.get("valkey_version") or info["redis_version"])
    if int(version.partition(".")[0]) < _OLDEST_MAJOR:
        raise UnusableError(f"the store at {place} is Redis {version}: 7 or newer, or Valkey, is needed")
    waits = bool(node.execute_command("COMMAND LIST", "FILTERBY", "PATTERN", "waitaof"))
    keeps = {"appendonly": "?", "appendfsync": "?"}
    try:
        for name in keeps:
            keeps[name] = node.execute_command("CONFIG GET", name).get(name, "?")
    except redis.ResponseError:  # CONFIG is forbidden on many hosted stores
        if waits:
            return True  # every batch then proves it
    enough = ("always", "everysec") if waits else ("always",)
    if keeps["appendonly"] != "yes" or keeps["appendfsync"] not in enough:
        raise UnusableError(
            f"the store at {place} (version {version}) would lose what it confirms: it has appendonly "
            f"{keeps['appendonly']} and appendfsync {keeps['appendfsync']}; appendonly yes and appendfsync "
            f"{' or '.join(enough)} are needed"
        )
    return waits


def sync(node: Any) -> None:
    """Wait until what was asked of a server is on its disk, if always the calling thread has asked.

    A server waits for what came over the same connection, and the pool hands a single thread the same one each time.
    """
    if node.execute_command("WAITAOF", 1, 0, _WAIT_FOR_DISK_MS)[0] < 1:
        raise redis.TimeoutError(f"it did not write to disk in {_WAIT_FOR_DISK_MS} ms")


def _reply(connection: Any) -> Any:
    """Return what the store answers next, be it an error."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def key_of(command: Sequence[Word]) -> Word:
    """Return the first key of a command."""
    return command[3] if command[0] in {"FCALL", "FCALL_RO"} else command[1]


def _moved(reply: Any) -> bool:
    """Return whether a node says that another one keeps the key now."""
    return isinstance(reply, MovedError | AskError)
