"""Pictures as pixels: image grids, scatter plots of 2-D points, and discriminators over the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
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
    from PIL import ImageFont

Pixels = NDArray[np.uint8]

WIDTH = 700  # pixels: small images are enlarged by whole factors until a grid is about this wide
PADDING = 2
MARGIN_LEVEL = 40
FONT, CAPTION, GAP = 13, 18, 8  # size of texts, height of a line below an image, space beside texts
LINES = 3  # of a caption at most


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
    images = functional.pad(images, (0, PADDING, 0, 0), value=PADDING_LEVEL)
    blank = torch.full((rows * columns - count, *images.shape[1:]), PADDING_LEVEL, dtype=torch.uint8)
    bands = torch.cat([images, blank]).unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).numpy()
    captions = _wrapped(grid.captions, rows, columns, images.shape[3])
    edge = np.full((PADDING, *bands.shape[2:]), PADDING_LEVEL, np.uint8)
    parts = [edge]
    for band, texts in zip(bands, captions, strict=True):
        parts += [band, _strip(texts, bands.shape[2], images.shape[3]), edge]
    sheet = np.pad(np.concatenate(parts), ((0, 0), (PADDING, 0), (0, 0)), constant_values=PADDING_LEVEL)
    if not grid.rows:
        return sheet
    heights = [len(band) + len(strip) + PADDING for band, strip in zip(parts[1::3], parts[2::3], strict=True)]
    return _with_margin(sheet, grid.rows, heights)


def _wrapped(captions: Sequence[str], rows: int, columns: int, width: int) -> list[list[list[str]]]:
    """Of every row, of every caption, the lines; one caption per row has all of its width, others their image's."""
    if not captions:
        return [[]] * rows
    if len(captions) == rows:
        return [[wrap(caption, columns * width)] for caption in captions]
    lines = [wrap(caption, width) for caption in captions]
    lines += [[]] * (rows * columns - len(lines))
    return [lines[row * columns : (row + 1) * columns] for row in range(rows)]


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of ``width`` pixels; what goes beyond :data:`LINES` of them is left out, and dots say so."""
    lines: list[str] = []
    for word in text.split():
        if lines and _font().getlength(f"{lines[-1]} {word}") <= width - GAP:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > LINES:
        lines[LINES - 1 :] = [" ".join(lines[LINES - 1 :])]
    return [_elided(line, width - GAP) for line in lines]


def _elided(line: str, width: int) -> str:
    """As much of a line as there is room for."""
    if _font().getlength(line) <= width:
        return line
    while line and _font().getlength(line + "...") > width:
        line = line[:-1]
    return line.rstrip() + "..."


def _strip(captions: Sequence[Sequence[str]], width: int, cell: int) -> Pixels:
    """What is written below a row of images ``width`` wide together: a caption below each, or one for all of them."""
    from PIL import Image, ImageDraw

    height = CAPTION * max((len(lines) for lines in captions), default=0)
    line = np.full((width, 3), MARGIN_LEVEL, np.uint8)
    if len(captions) != 1:
        line.reshape(-1, cell, 3)[:, -PADDING:] = PADDING_LEVEL  # by these lines others find the cells
    strip = Image.fromarray(np.repeat(line[None], max(height, 1), 0))
    pen = ImageDraw.Draw(strip)
    for number, lines in enumerate(captions):
        middle = (width if len(captions) == 1 else (2 * number + 1) * cell) / 2
        for index, text in enumerate(lines):
            pen.text((middle, (index + 0.5) * CAPTION), text, "white", _font(), anchor="mm")
    return np.asarray(strip)[:height]


def _with_margin(sheet: Pixels, texts: Sequence[str], heights: Sequence[int]) -> Pixels:
    """A grid with a text on the left of each row."""
    from PIL import Image, ImageDraw

    margin = 2 * GAP + math.ceil(max(map(_font().getlength, texts)))
    lines = (sheet == PADDING_LEVEL).all((1, 2))  # they go on into the margin: by them others find the cells
    left = np.where(lines, PADDING_LEVEL, MARGIN_LEVEL).astype(np.uint8)[:, None, None].repeat(margin, 1).repeat(3, 2)
    image = Image.fromarray(np.concatenate([left, sheet], axis=1))
    pen = ImageDraw.Draw(image)
    top = PADDING
    for text, height in zip(texts, heights, strict=False):
        pen.text((margin - GAP, top + height / 2), text, "white", _font(), anchor="rm")
        top += height
    return np.asarray(image)


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # Pillow's own lacks accents
    return ImageFont.truetype(path, FONT)


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
