"""CSV: which requests want it, and how it is written (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from flask import Request, Response

_JSON, _CSV = "application/json", "text/csv"


def wants_csv(request: Request, chosen: Literal["", "json", "csv"]) -> bool:
    """Return whether to answer in CSV: as the parameter `format` says, else as the Accept header prefers."""
    if chosen:
        return chosen == "csv"
    return request.accept_mimetypes.best_match([_JSON, _CSV], _JSON) == _CSV


def respond_csv(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return rows as a CSV file with a header line; None becomes an empty field.

    Args:
        name: Of the file, without its ending.
        header: Names of the columns.
        rows: As long as the header.
    """
    text = io.StringIO()
    writer = csv.writer(text)  # its defaults are RFC 4180: CRLF, and quotes where they are needed
    writer.writerow(header)
    writer.writerows(rows)
    response = Response(text.getvalue(), content_type=f"{_CSV}; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
