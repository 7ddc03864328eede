"""``ganrun report``: runs compared."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganrun.config.paths import OUTPUTS
from ganrun.config.words import did_you_mean, listing, sentences
from ganrun.core.errors import RunError
from ganrun.core.files import write_text
from ganrun.engine.folder import disk_trouble
from ganrun.report.html import as_html
from ganrun.report.illustrations import Illustration, illustrate
from ganrun.report.ranking import measures
from ganrun.report.render import as_csv, as_markdown, as_text
from ganrun.report.runs import Run, read_runs
from ganrun.report.tables import Table, costs, make_chapters, statuses
from ganrun.sweep.naming import path_safe

log = logging.getLogger(__name__)

FIGURES = "report"
"""Folder beside the report that its figures are in."""


def report(settings: dict[str, Any]) -> Path:
    """Compare runs: print tables, and write them down.

    Args:
        settings: values of ``conf/report.yaml``.

    Returns:
        The folder with the report.

    Raises:
        RunError: something that the user can mend.
    """
    if not settings["folders"]:
        raise RunError(
            "There is nothing to report on. Name folders of runs or sweeps: ganrun report outputs/sweeps/NAME"
        )
    folders = [Path(folder) for folder in settings["folders"]]
    runs = read_runs(folders)
    _refuse_unknown(settings["metric"], runs)
    chapters = make_chapters(runs, settings["metric"])
    where = Path(settings["output"] or _usual_place(folders))
    title = ", ".join(folder.resolve().name for folder in folders)
    sys.stdout.write(as_text([statuses(runs), *(table for each in chapters for table in each.tables), costs(runs)]))
    try:
        illustrations = illustrate(chapters, runs, where / FIGURES)
        parts: list[Table | Illustration] = [statuses(runs)]
        for chapter, figures in zip(chapters, illustrations, strict=True):
            parts += [*chapter.tables, *figures.values()]
        write_text(where / "report.md", as_markdown(title, [*parts, costs(runs)], where))
        write_text(where / "report.html", as_html(title, chapters, illustrations, runs))
        write_text(where / "report.csv", as_csv(runs))
    except OSError as error:
        raise disk_trouble(error, "Name another folder with output=FOLDER.") or error from None
    log.info("report: %s", where / "report.html")
    return where


def _refuse_unknown(metric: str | None, runs: Sequence[Run]) -> None:
    known = list(dict.fromkeys(measure.tag for group in measures(runs) for measure in group))
    if metric is not None and metric not in known:
        raise RunError(
            sentences(f"No run has scores of {metric}.", did_you_mean(metric, known), f"There are: {listing(known)}.")
        )


def _usual_place(folders: Sequence[Path]) -> Path:
    """The folder itself; of several, one that is named by them."""
    if len(folders) == 1:
        return folders[0]
    paths = sorted(str(folder.resolve()) for folder in folders)
    label = path_safe("+".join(Path(path).name for path in paths))
    digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:8]
    return Path(OUTPUTS) / "reports" / f"{label}_{digest}"
