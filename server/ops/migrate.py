"""`moodwire server migrate`: brings what is in the store into the layout of this version."""

import sys

from server.errors import StoreAwayError, UnusableError
from server.settings import ServerSettings
from server.store import layout, migrations
from server.store.redis_store import open_store


def migrate(settings: ServerSettings) -> int:
    """Do all steps that are needed, with ingest stopped; return 0, or 2 with a sentence."""
    try:
        store = open_store(settings)
        print(migrations.bring(store, migrations.STEPS, layout.VERSION))
    except (UnusableError, StoreAwayError) as error:
        print(f"moodwire server migrate: {error}", file=sys.stderr)
        return 2
    return 0
