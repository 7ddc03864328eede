"""Pictures as pixels: image grids, scatter plots of 2-D points, and discriminators over the plane."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ganrun.core.colours import BLACK, PADDING_LEVEL, VERMILION
from ganrun.core.types import Grid, Picture, Scatter, Surface
from ganrun.metrics.base import quantise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]

WIDTH = 700  # pixels: small images are enlarged by whole factors until a grid is about this wide
PADDING = 2
MARGIN_LEVEL = 40
FONT, CAPTION, GAP = 14, 18, 8  # size of texts, height of the strip for one below an image, space beside those of rows


def draw(picture: Picture) -> Pixels:
    """Pixels of a picture, uint8 ``[height, width, 3]``.

    Raises:
        ValueError: the images of a grid have neither 1 nor 3 channels.
    """
    if isinstance(picture, Surface):
        return _draw_surface(picture)
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
    below = PADDING + (CAPTION if grid.captions else 0)
    images = functional.pad(images, (0, PADDING, 0, below), value=PADDING_LEVEL)
    blank = torch.full((rows * columns - count, *images.shape[1:]), PADDING_LEVEL, dtype=torch.uint8)
    cells = torch.cat([images, blank]).unflatten(0, (rows, columns))
    sheet = cells.permute(0, 3, 1, 4, 2).reshape(rows * images.shape[2], columns * images.shape[3], 3)
    framed = functional.pad(sheet, (0, 0, PADDING, 0, PADDING, 0), value=PADDING_LEVEL)
    pixels = np.ascontiguousarray(framed.numpy())
    return _write(pixels, grid, columns, *images.shape[2:]) if grid.rows or grid.captions else pixels


def _write(pixels: Pixels, grid: Grid, columns: int, height: int, width: int) -> Pixels:
    """A grid of cells of ``height`` and ``width`` with its texts: a margin on the left, and captions inside."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(FONT)
    margin = 2 * GAP + math.ceil(max(map(font.getlength, grid.rows))) if grid.rows else 0
    lines = (pixels == PADDING_LEVEL).all((1, 2))  # they go on into the margin: by them others find the cells
    left = np.where(lines, PADDING_LEVEL, MARGIN_LEVEL).astype(np.uint8)[:, None, None].repeat(margin, 1).repeat(3, 2)
    sheet = Image.fromarray(np.concatenate([left, pixels], axis=1))
    pen = ImageDraw.Draw(sheet)
    for number, text in enumerate(grid.rows):
        pen.text((margin - GAP, PADDING + (number + 0.5) * height), text, "white", font, anchor="rm")
    for number, text in enumerate(grid.captions):
        row, column = divmod(number, columns)
        place = margin + PADDING + (column + 0.5) * width, PADDING + (row + 1) * height - (PADDING + CAPTION) / 2
        pen.text(place, text, "white", font, anchor="mm")
    return np.asarray(sheet)


def rasterise(figure: Figure) -> Pixels:
    """Pixels of a figure that no window has seen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _draw_scatter(scatter: Scatter) -> Pixels:
    """Two panels over the range of the real points: real and generated points, and the generated density."""
    from matplotlib.figure import Figure

    real, generated = _finite(scatter.real), _finite(scatter.generated)
    (left, right), (bottom, top) = scatter.frame
    inside = (generated >= (left, bottom)) & (generated <= (right, top))
    outside = len(scatter.generated) - int(inside.all(1).sum())
    figure = Figure(figsize=(10, 5.2), dpi=100, layout="constrained")
    points, density = figure.subplots(1, 2)
    points.scatter(*real.T, s=6, color="0.75", linewidths=0, label="real")
    points.scatter(*generated.T, s=6, color="tab:blue", alpha=0.6, linewidths=0, label="generated")
    points.legend(loc="upper right", markerscale=2)
    points.set_title(f"{len(scatter.generated)} samples" + (f", {outside} outside" if outside else ""))
    density.hist2d(*generated.T, bins=80, range=scatter.frame, cmap="magma")
    density.set_title("density of the samples")
    for axes in (points, density):
        _square(axes, scatter)
    return rasterise(figure)


def _draw_surface(surface: Surface) -> Pixels:
    """The score as colour and level lines, the force as arrows of one length, and the points on top."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    rows, columns = surface.score.shape
    horizontal, vertical = np.linspace(*surface.frame[0], columns), np.linspace(*surface.frame[1], rows)
    score = np.ma.masked_invalid(surface.score.detach().cpu().double().numpy())
    low, high = (float(level) for level in np.quantile(score.compressed(), [0.02, 0.98])) if score.count() else (0, 0)
    colours = axes.pcolormesh(horizontal, vertical, score, cmap="cividis", vmin=low, vmax=high, shading="gouraud")
    if high > low:
        levels = np.linspace(low, high, 12)
        axes.contour(horizontal, vertical, score, levels, colors="white", linestyles="solid", linewidths=0.6, alpha=0.5)
    arrows = _finite(torch.cat([surface.places, surface.force], dim=1))
    length = np.linalg.norm(arrows[:, 2:], axis=1, keepdims=True)
    arrows[:, 2:] = np.divide(arrows[:, 2:], length, out=np.zeros_like(arrows[:, 2:]), where=length > 0)
    axes.quiver(*arrows.T, color="white", edgecolor=BLACK, linewidth=0.3, width=0.0036, scale=26)
    real, generated = _finite(surface.real), _finite(surface.generated)
    axes.scatter(real[:, 0], real[:, 1], s=14, color=BLACK, linewidths=0, label="real")
    axes.scatter(generated[:, 0], generated[:, 1], s=7, color=VERMILION, alpha=0.7, linewidths=0, label="generated")
    figure.colorbar(colours, ax=axes, extend="both", label="score of the discriminator (high: real)", shrink=0.85)
    axes.set_title(
        "Where the generator's loss drives a fake\n"
        + (f"(arrows of one length; median of the gradient's norm {np.median(length):.2g})" if len(length) else "")
    )
    figure.legend(loc="outside lower center", ncols=2, markerscale=2, frameon=False)
    _square(axes, surface)
    return rasterise(figure)


def _finite(points: Tensor) -> NDArray[np.float64]:
    array = points.detach().cpu().double().numpy()
    return array[np.isfinite(array).all(1)]


def _square(axes: Axes, scatter: Scatter) -> None:
    horizontal, vertical = scatter.frame
    axes.set_xlim(*horizontal)
    axes.set_ylim(*vertical)
    axes.set_aspect("equal")
