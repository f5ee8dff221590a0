"""The log of a command: what a device or a client sends cannot begin a line of its own."""

import logging
from typing import TextIO


def handler() -> logging.StreamHandler[TextIO]:
    """Return what writes the log, each message on one line."""
    writer = logging.StreamHandler()
    writer.setFormatter(_OneLineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return writer


class _OneLineFormatter(logging.Formatter):
    """Writes each message on one line: what a device or a client sends cannot begin a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in logging
        """Escape what is not printable in the message."""
        if not record.message.isprintable():
            record.message = "".join(
                char if char.isprintable() else char.encode("unicode_escape").decode() for char in record.message
            )
        return super().formatMessage(record)
