"""Pictures of games whose images belong to a source image or label map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ganrun.core.tensors import paint
from ganrun.core.types import Grid

Palette = Sequence[tuple[str, int, int, int]]
"""Name, red, green and blue (0 to 255) of every class of label maps; empty where the sources are images."""


def visible(condition: Tensor, palette: Palette) -> Tensor:
    """Source images as they are, label maps in their colours: ``[B, 3, H, W]`` in [-1, 1]."""
    return coloured(paint(condition, palette) if palette else condition)


def coloured(images: Tensor) -> Tensor:
    """Grey images with three equal channels."""
    return images.expand(-1, 3, -1, -1)


def beside(condition: Tensor, palette: Palette, *images: Tensor) -> Grid:
    """One row per condition, and beside it what belongs to it."""
    row = [visible(condition, palette), *(coloured(image) for image in images)]
    return Grid(torch.stack(row, dim=1).flatten(0, 1), columns=len(row))
