"""Markdown tables that are readable as they are, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """Return a table whose columns are aligned.

    Args:
        columns: their titles.
        rows: the cells of each.
        texts: number of columns of text, the first ones; the others are numbers.
    """
    lines = [columns, *rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    rule = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join(_line(row, widths, texts) for row in (lines[0], rule, *lines[1:]))


def _line(row: Sequence[str], widths: Sequence[int], texts: int) -> str:
    cells = [
        cell.ljust(width) if column < texts else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return f"| {' | '.join(cells)} |"


def lasts(seconds: float) -> str:
    """Return how long a fault lasts; 0 is for good."""
    return f"{seconds:g} s" if seconds else "for good"
