"""What a report says, as tables of text that any format can show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: what it shows.
        caption: how to read it and what follows from it: paragraphs, one a string; ``code`` stands in backticks.
        header: of the columns.
        rows: cells; the same number in each.
        labels: how many columns, from the left, are names and not numbers.
    """

    title: str
    caption: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int
