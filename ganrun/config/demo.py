"""``ganrun demo``: a small game whose truth is known."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import Any

from ganrun.sampling.pictures import save

log = logging.getLogger(__name__)


def demo(settings: dict[str, Any]) -> Path:
    """Play the demonstration, print its table and save its picture.

    Args:
        settings: values of ``conf/demo.yaml``.

    Returns:
        The picture.
    """
    name = settings["name"]
    shown = importlib.import_module(f"ganrun.demos.{name}").demonstrate()
    lines = [shown.header, *shown.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write(f"{cells}\n")
    where = Path(settings["output"] or f"outputs/demos/{name}.png")
    save(shown.picture, where)
    log.info("%s -> %s", name, where)
    return where
