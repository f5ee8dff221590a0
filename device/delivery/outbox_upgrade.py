"""Brings an outbox of an earlier schema to the present one."""

import sqlite3
from typing import Any

from device.delivery.outbox_salvage import SEQ_BITS, Raw, meta_crc, whole_row
from device.delivery.outbox_table import SCHEMA_VERSION, DamageError, transaction

BEFORE_CHECK_VALUES = 2
"""The schema before this one."""


def add_check_values(db: sqlite3.Connection) -> None:
    """Bring a file of schema 2, whose rows have no check values, to this one, all or nothing.

    Raises:
        sqlite3.Error: a row is damaged, or the file cannot be written.
    """
    meta = dict(db.execute("SELECT key, value FROM meta"))
    if "device" not in meta:
        raise DamageError("whose it is cannot be read")
    boots = {number: (name, kernel) for number, name, kernel in db.execute("SELECT number, name, kernel FROM boots")}

    def crc(*values: Any) -> int:
        raw = Raw._make((*values, None))
        row = whole_row(meta["device"], *boots[raw.key >> SEQ_BITS], raw)
        if row is None:  # a statement that cannot be carried out is a damaged file
            raise ValueError
        return row.crc(meta["device"])

    db.create_function("row_crc", 6, crc)
    with transaction(db):
        db.execute("ALTER TABLE rows ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
        db.execute("UPDATE rows SET crc = row_crc(id, kind, at_ms, synced, held_ms, payload)")
        db.execute("INSERT INTO meta VALUES ('crc', ?)", (meta_crc(meta),))
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
