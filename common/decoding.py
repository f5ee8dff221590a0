"""What decoding a text of unknown origin may raise."""

import msgspec

JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""From `msgspec.json`: it is not JSON or not what was asked for, not UTF-8, or nested too deeply."""
