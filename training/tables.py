"""Tables in Markdown."""

from collections.abc import Sequence

Row = dict[str, str]
"""Cells of a table by the names of their columns."""


def table(rows: Sequence[Row]) -> str:
    """Return rows that have the same columns as a table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
