"""Tables as text; tables and figures as Markdown; runs as CSV."""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from ganrun.report.illustrations import Illustration
from ganrun.report.ranking import differing_keys, label_of, measures, scored_runs
from ganrun.report.runs import Run
from ganrun.report.tables import NOTHING, Table

LINE = 120
WIDEST_CELL = 60


def as_text(tables: Iterable[Table]) -> str:
    """For a terminal."""
    return "\n".join(_text(table) for table in tables)


def as_markdown(title: str, parts: Iterable[Table | Illustration], where: Path) -> str:
    """For a page with the heading ``title`` in the folder ``where``."""
    shown = (_markdown(part) if isinstance(part, Table) else _figure(part, where) for part in parts)
    return "\n".join([f"# {title}\n", *shown])


def as_csv(runs: Sequence[Run]) -> str:
    """A row per run: how it fares, the settings that differ, the last and the best score of every metric, its costs."""
    keys = differing_keys(runs)
    header = ["folder", "status", "reason", "step", *keys, "seed"]
    rows: list[list[object]] = [
        [run.folder, run.status, run.reason, run.step, *label_of(run, keys), "" if run.seed is None else run.seed]
        for run in runs
    ]
    for measure in (measure for group in measures(runs) for measure in group):
        header += [f"{measure.name} {which} [{measure.column.stamp.hash}]" for which in ("last", "best")]
        scored = {
            each.run.folder: (each.last, each.best(measure.lower_is_better)) for each in scored_runs(measure, runs)
        }
        for run, row in zip(runs, rows, strict=True):
            row += scored.get(run.folder, ("", ""))
    header += ["seconds", "peak_memory_gib"]
    for run, row in zip(runs, rows, strict=True):
        row += [round(run.seconds, 3), "" if run.peak_memory_gib is None else run.peak_memory_gib]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def _text(table: Table) -> str:
    caption = [line for part in table.caption for line in textwrap.wrap(part.replace("`", ""), LINE)]
    is_wide = any(len(cell) > WIDEST_CELL or "\n" in cell for row in table.rows for cell in row)
    body = _records(table) if is_wide else _lines(table)
    return "\n".join([table.title, "=" * len(table.title), *caption, *([""] if body else []), *body]) + "\n"


def _lines(table: Table) -> list[str]:
    """A line per row."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < table.labels else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (table.header, *table.rows)
        if row
    ]


def _records(table: Table) -> list[str]:
    """A line per cell, where a line has no room for a row; cells without content are left out."""
    width = max(map(len, table.header))
    lines = []
    for row in table.rows:
        for name, cell in zip(table.header, row, strict=True):
            if cell != NOTHING:
                lines.append(f"{name.ljust(width)}  " + cell.replace("\n", "\n" + " " * (width + 2)))
        lines.append("")
    return lines[:-1]


def _markdown(table: Table) -> str:
    lines = [f"## {table.title}", *table.caption]
    if table.header:
        rule = ["---" if index < table.labels else "---:" for index in range(len(table.header))]
        lines.append("\n".join(_row(cells) for cells in (table.header, rule, *table.rows)))
    return "\n\n".join(lines) + "\n"


def _figure(figure: Illustration, where: Path) -> str:
    path = quote(Path(os.path.relpath(figure.path, where)).as_posix())
    return f"## {figure.title}\n\n![{figure.title}]({path})\n\n{figure.caption}\n"


def _row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(escaped)} |"
