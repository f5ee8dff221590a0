"""A row of the outbox: one record, encoded, with its stamp."""

import zlib
from typing import Literal, NamedTuple

from msgspec.structs import replace

from broker.messages import Heard, Reading, decode, encode
from device.delivery.timestamps import Stamp

Kind = Literal["reading", "heard"]
"""Of a record; also the last level of the topic that it is published on."""


class Row(NamedTuple):
    """One record on its way from the recorder to the server; `boot` and `seq` identify it."""

    kind: Kind
    boot: str
    seq: int
    payload: bytes
    """The record as the wire wants it."""
    stamp: Stamp

    def crc(self, device: str) -> int:
        """Return the check value with which a device's outbox keeps the row.

        A CRC-32 as a signed integer, which SQLite keeps in four bytes.
        """
        stamp = self.stamp
        head = f"{device} {self.boot} {self.seq} {self.kind} {stamp.at_ms} {int(stamp.synced)} {stamp.held_ms} "
        return zlib.crc32(self.payload, zlib.crc32(head.encode())) - 2**31

    @classmethod
    def of(cls, record: Reading | Heard, stamp: Stamp) -> "Row":
        """Return the row of a new record."""
        kind: Kind = "reading" if isinstance(record, Reading) else "heard"
        return cls(kind, record.boot, record.seq, encode(record), stamp)

    def restamped(self, stamp: Stamp) -> "Row":
        """Return the row with its final stamp, also in the payload."""
        if (stamp.at_ms, stamp.synced) == (self.stamp.at_ms, self.stamp.synced):
            return self._replace(stamp=stamp)
        if self.kind == "reading":
            payload = encode(replace(decode(self.payload, Reading), at=stamp.at_ms, clock_synced=stamp.synced))
        else:
            payload = encode(replace(decode(self.payload, Heard), at=stamp.at_ms))
        return self._replace(payload=payload, stamp=stamp)
