"""CSV: which requests want it, and how it is written (RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from flask import Request, Response
from werkzeug.datastructures import MIMEAccept

from common import text

_JSON, _CSV = "application/json", "text/csv"


def wants_csv(request: Request, chosen: Literal["", "json", "csv"]) -> bool:
    """Return whether to answer in CSV: as the parameter `format` says, else as the Accept header prefers."""
    if chosen:
        return chosen == "csv"
    # Without parameters: the charset of `text/csv; charset=utf-8` is that of both.
    accepted = MIMEAccept([(kind.partition(";")[0].strip(), weight) for kind, weight in request.accept_mimetypes])
    return accepted.best_match([_JSON, _CSV], _JSON) == _CSV


def respond_csv(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return rows as a CSV file with a header line; None becomes an empty field, and text never a formula.

    Args:
        name: Of the file, without its ending.
        header: Names of the columns.
        rows: As long as the header.
    """
    table = io.StringIO()
    writer = csv.writer(table)  # its defaults are RFC 4180: CRLF, and quotes where they are needed
    for row in (header, *rows):
        writer.writerow([text.csv_cell(cell) if isinstance(cell, str) else cell for cell in row])
    response = Response(table.getvalue(), content_type=f"{_CSV}; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
