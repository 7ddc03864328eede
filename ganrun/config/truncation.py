"""``ganrun truncation``: the scores of a trained run at several truncations of its latents."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganrun.config.evaluate import prepare, refuse_no_metrics, score_at
from ganrun.config.load import truncated
from ganrun.core.errors import RunError
from ganrun.engine.folder import RunFolder
from ganrun.engine.scores import FILE, Entry, read, remember
from ganrun.sampling.curves import draw_trade_off
from ganrun.sampling.pictures import save

log = logging.getLogger(__name__)


def truncation(settings: dict[str, Any]) -> Path:
    """Score a run at every truncation, print a table and save curves; the scores are remembered in the run folder.

    Args:
        settings: values of ``conf/truncation.yaml``.

    Returns:
        The picture.

    Raises:
        RunError: no such checkpoint, no values, no metrics, or latents that cannot be truncated.
    """
    refuse_no_metrics(settings)
    values = list(dict.fromkeys(settings["values"]))
    if not values:
        raise RunError("values is empty. Give some, as in values=[0.5,1,2,null]; null is no truncation.")
    folder = RunFolder(Path(settings["run"]))
    read(folder.path / FILE)  # what cannot be remembered is not computed
    trained, evaluation = prepare(settings)
    for value in values:
        with truncated(trained.game, value, trained.config):
            pass  # before any time is spent
    entries = []
    for number, value in enumerate(values, start=1):
        log.info("%d/%d truncation %s", number, len(values), _name(value))
        entries.append(score_at(trained, evaluation, folder.path, value))
        remember(entries[-1], folder.path / FILE)
    sys.stdout.write(_table(entries))
    where = Path(settings["output"] or folder.samples / f"truncation_step_{trained.step:08d}.png")
    save(draw_trade_off([(entry.stamp.truncation, entry.scores) for entry in entries]), where)
    log.info("%d truncations of step %d -> %s", len(entries), trained.step, where)
    return where


def _table(entries: Sequence[Entry]) -> str:
    """A row for each truncation, with the hash of its stamp; above them the stamp of the first row."""
    tags = list(dict.fromkeys(tag for entry in entries for tag in entry.scores))
    lines = [["truncation", "stamp", *tags]]
    for entry in entries:
        scores = [f"{entry.scores[tag]:.4f}" if tag in entry.scores else "-" for tag in tags]
        lines.append([_name(entry.stamp.truncation), entry.stamp.hash, *scores])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([str(entries[0].stamp), *rows]) + "\n"


def _name(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
