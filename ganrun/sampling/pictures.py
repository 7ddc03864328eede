"""Pictures as pixels: image grids, and scatter plots of 2-D points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganrun.core.types import Grid, Picture, Scatter
from ganrun.metrics.base import quantise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pixels = NDArray[np.uint8]

WIDTH = 700  # pixels: small images are enlarged by whole factors until a grid is about this wide
PADDING = 2
PADDING_LEVEL = 64  # dark grey: seen between black images and between white ones


def draw(picture: Picture) -> Pixels:
    """Pixels of a picture, uint8 ``[height, width, 3]``.

    Raises:
        ValueError: the images of a grid have neither 1 nor 3 channels.
    """
    return _draw_scatter(picture) if isinstance(picture, Scatter) else _draw_grid(picture)


def save(pixels: Pixels, path: Path) -> None:
    """Write pixels ``[height, width, 3]`` as PNG; the folder is made when it is not there."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")


def _draw_grid(grid: Grid) -> Pixels:
    images = quantise(grid.images.detach()).cpu()
    count, channels, _, width = images.shape
    if channels not in (1, 3):
        raise ValueError(f"an image has 1 or 3 channels, got {channels}")
    columns = max(1, min(grid.columns, count))
    rows = -(-count // columns)
    factor = max(1, round(WIDTH / (columns * width)))
    images = images.expand(-1, 3, -1, -1).repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    images = functional.pad(images, (0, PADDING, 0, PADDING), value=PADDING_LEVEL)
    blank = torch.full((rows * columns - count, *images.shape[1:]), PADDING_LEVEL, dtype=torch.uint8)
    cells = torch.cat([images, blank]).unflatten(0, (rows, columns))
    sheet = cells.permute(0, 3, 1, 4, 2).reshape(rows * images.shape[2], columns * images.shape[3], 3)
    framed = functional.pad(sheet, (0, 0, PADDING, 0, PADDING, 0), value=PADDING_LEVEL)
    return np.ascontiguousarray(framed.numpy())


def _draw_scatter(scatter: Scatter) -> Pixels:
    """Two panels over the range of the real points: real and generated points, and the generated density."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    real, generated = _finite(scatter.real), _finite(scatter.generated)
    middle, half = _frame(real)
    outside = len(scatter.generated) - int((np.abs(generated - middle) <= half).all(1).sum())
    figure = Figure(figsize=(10, 5.2), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    points, density = figure.subplots(1, 2)
    points.scatter(*real.T, s=6, color="0.75", linewidths=0, label="real")
    points.scatter(*generated.T, s=6, color="tab:blue", alpha=0.6, linewidths=0, label="generated")
    points.legend(loc="upper right", markerscale=2)
    points.set_title(f"{len(scatter.generated)} samples" + (f", {outside} outside" if outside else ""))
    limits = [[middle[axis] - half, middle[axis] + half] for axis in (0, 1)]
    density.hist2d(*generated.T, bins=80, range=limits, cmap="magma")
    density.set_title("density of the samples")
    for axes in (points, density):
        _square(axes, limits)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _finite(points: Tensor) -> NDArray[np.float64]:
    array = points.detach().cpu().double().numpy()
    return array[np.isfinite(array).all(1)]


def _frame(real: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Middle and half side of a square around the real points, with a margin of 30 %."""
    low, high = real.min(0), real.max(0)
    return (low + high) / 2, 1.3 * max(float((high - low).max()) / 2, 1e-6)


def _square(axes: Axes, limits: list[list[float]]) -> None:
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    axes.set_aspect("equal")
