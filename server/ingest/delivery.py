"""The one type of message that travels through ingest, from the broker's socket to its acknowledgement."""

import msgspec

from server.ingest.decode import Decoded

NOT_DECODED = Decoded("")
"""Of a message that nobody has looked into."""


class Delivery(msgspec.Struct):
    """A message as the broker delivered it (MQTT 5, 3.3), and what it carries once it is decoded."""

    topic: str
    payload: bytes
    packet_id: int
    """0 if the quality of service is 0."""
    qos: int
    connection: int
    """Number of the connection that brought it; an acknowledgement on another one would name another message."""
    decoded: Decoded = NOT_DECODED
    device: str = ""
    """As the topic names it; empty if it names none."""
    kind: str = ""
    """As the topic names it, one of `topics.FROM_DEVICE`; empty if it names none."""
    weight: int = 1
    """About how many records it carries."""
