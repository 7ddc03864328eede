"""Samples of several settings side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ganrun.core.colours import PADDING_LEVEL
from ganrun.report.figures import shortened

Pixels = NDArray[np.uint8]

MOST = 12
"""Settings of which samples are shown."""

CELLS = 4
"""Rows and columns that are left of a grid of images."""

WIDEST = 640  # pixels
COLUMNS = 4


def newest_picture(paths: Sequence[Path]) -> Path | None:
    """Of pictures named ``<what>_<step>.png``, the last of the samples, or of what comes first in the alphabet."""
    found = [(match[1], int(match[2]), path) for path in paths if (match := re.fullmatch(r"(.+)_(\d{8})", path.stem))]
    if not found:
        return None
    names = {name for name, _, _ in found}
    shown = "generated" if "generated" in names else min(names)
    return max((step, path) for name, step, path in found if name == shown)[1]


def read_picture(path: Path) -> Pixels | None:
    """A picture, uint8 ``[height, width, 3]``: of a grid its first rows and columns; ``None`` if it is damaged."""
    try:
        with Image.open(path) as image:
            picture = Image.fromarray(first_cells(np.asarray(image.convert("RGB"))))
    except OSError:
        return None
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def first_cells(pixels: Pixels) -> Pixels:
    """The first rows and columns of a grid of images, cut at the lines between them; other pictures as they are."""
    lines = pixels == PADDING_LEVEL
    return pixels[: _end(lines.all(axis=(1, 2))), : _end(lines.all(axis=(0, 2)))]


def _end(is_line: NDArray[np.bool_]) -> int:
    """Where the line after the last cell that is shown ends."""
    ends = np.flatnonzero(is_line & ~np.append(is_line[1:], False)) + 1
    return int(ends[CELLS]) if len(ends) > CELLS else len(is_line)


def side_by_side(pictures: Sequence[tuple[str, Pixels]]) -> Figure:
    """Labelled pictures, in rows of four; of two where they are wide."""
    tallest = max(pixels.shape[0] / pixels.shape[1] for _, pixels in pictures)
    columns = min(COLUMNS if tallest > 0.7 else COLUMNS // 2, len(pictures))
    rows = -(-len(pictures) // columns)
    width = 2.6 if columns > 2 else 5.2
    figure = Figure(figsize=(width * columns, (width * tallest + 0.35) * rows), dpi=130, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (label, pixels) in zip(grid, pictures, strict=False):
        axes.imshow(pixels)
        axes.set_title(shortened(label, 36), fontsize=8, loc="left")
    return figure
