"""Answers as tables: which requests want CSV, and how it is written (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from flask import Request, Response

_JSON, _CSV = "application/json", "text/csv"


def wants_csv(request: Request, form: Literal["", "json", "csv"]) -> bool:
    """Return whether a request is to be answered as CSV: as `format` says, else as its Accept header prefers."""
    if form:
        return form == "csv"
    return request.accept_mimetypes.best_match([_JSON, _CSV], _JSON) == _CSV


def table(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return rows as CSV with a header line; None becomes an empty field.

    Args:
        name: Of the file that a browser saves.
        header: Names of the columns.
        rows: Of the header's length.
    """
    text = io.StringIO()
    writer = csv.writer(text)  # its defaults are RFC 4180: CRLF, and quotes where they are needed
    writer.writerow(header)
    writer.writerows(rows)
    response = Response(text.getvalue(), content_type=f"{_CSV}; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
