"""What was erased leaves the store's disk: its append-only file is rewritten soon after an erasure.

The file is a log of all writes, so it has what was erased until the store rewrites it from what it holds. By itself
the store does that only when the file has doubled.
"""

import logging

from server.errors import StoreAwayError
from server.store import full, keys
from server.store.client import Client

log = logging.getLogger(__name__)

LEAST_S = 600
"""Between two rewrites: each writes all that the store holds."""


def after_erasures(client: Client) -> None:
    """Begin to rewrite the append-only files if a device was erased since they were last rewritten, but not often.

    Raises:
        StoreAwayError: the store does not answer.
    """
    if not client.execute("EXISTS", keys.ERASED):
        return
    if not client.execute(*full.command("SET", keys.REWRITTEN, 1, "NX", "EX", LEAST_S)):
        return
    client.execute("DEL", keys.ERASED)  # first: an erasure that comes now needs another rewrite
    try:
        is_begun = client.rewrite_files()
    except StoreAwayError as error:
        log.warning("what was erased stays in the append-only file until the store rewrites it by itself: %s", error)
        is_begun = False
    else:
        if not is_begun:  # one is running that began before the erasure: ask again at once
            client.execute("DEL", keys.REWRITTEN)
    if not is_begun:
        client.execute(*full.command("SET", keys.ERASED, 1))
