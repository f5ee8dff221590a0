"""The log of a command has one line a message."""

import logging
import sys

import pytest

from common import log_lines


def test_a_log_line_cannot_begin_another_one(capsys: pytest.CaptureFixture[str]) -> None:
    """What a device or a client sends is logged on one line, its control characters as escapes."""
    handler = log_lines.handler()
    handler.setStream(sys.stderr)
    given = "K\u00fcche\n2026-01-01 INFO moodwire.audit: erased \u202e\x1b[2J"
    handler.handle(logging.LogRecord("moodwire", logging.INFO, "", 0, "device %s", (given,), None))

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO moodwire: device K\u00fcche\\n2026-01-01 INFO moodwire.audit: erased \\u202e\\x1b[2J")
