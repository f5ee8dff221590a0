"""Commands that a store with full memory takes all the same, for an operator's way out of it."""

from server.store.types import Word

_SCRIPT = "#!lua flags=allow-oom\nreturn redis.call(unpack(ARGV))"


def command(name: str, key: Word, *words: Word) -> tuple[Word, ...]:
    """Return a command about one key so that `maxmemory` does not refuse it; for what is small and seldom.

    Source: Redis, Lua script flags, `allow-oom`.
    """
    return ("EVAL", _SCRIPT, 1, key, name, key, *words)
