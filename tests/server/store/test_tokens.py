"""Tokens are kept as hashes, and what is revoked stays revoked."""

from server.store.redis_store import RedisStore
from server.store.tokens import digest


def test_a_token_is_accepted_by_its_hash_until_it_is_revoked(store: RedisStore) -> None:
    """The token itself is not kept; its last use goes with it."""
    text = store.tokens.add("grafana", "viewer")
    assert text is not None
    assert store.tokens.add("grafana", "operator") is None
    (token,) = store.tokens.accepted()
    assert (token.role, token.digest) == ("viewer", digest(text))
    assert text not in repr(token)
    store.tokens.note_use("grafana")
    assert [listed.used is None for listed in store.tokens.listed()] == [False]
    assert store.tokens.revoke("grafana")
    assert store.tokens.accepted() == []
    assert not store.tokens.revoke("grafana")


def test_the_first_token_is_made_once(store: RedisStore) -> None:
    """A first token that was revoked is not made again, but its name may be given to another one."""
    assert store.tokens.make_first("operator")
    assert store.tokens.make_first("operator") is None
    assert store.tokens.revoke("operator")
    assert store.tokens.make_first("operator") is None
    assert store.tokens.add("operator", "operator")
