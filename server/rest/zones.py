"""Time zones as requests name them."""

import zoneinfo
from datetime import UTC, tzinfo
from http import HTTPStatus

from common import text
from server.errors import ProblemError


def find(name: str) -> tzinfo:
    """Return the time zone with a name.

    Raises:
        ProblemError: 400, there is none.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"unknown time zone {text.quote(name)}: write tz like Europe/Berlin or UTC"
        ) from error
