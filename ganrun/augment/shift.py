"""Shifts by whole pixels, a different one for every image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def random_shifts(images: Tensor, down: int, right: int) -> Tensor:
    """Uniform whole numbers in [-down, down] and [-right, right] for every image, ``[B, 2]``."""
    return torch.stack(
        [torch.randint(-most, most + 1, (len(images),), device=images.device) for most in (down, right)], dim=1
    )


def shift(images: Tensor, by: Tensor, padding: Literal["zeros", "reflection"]) -> Tensor:
    """Move every image by whole pixels.

    Args:
        images: ``[B, C, H, W]``.
        by: pixels down and to the right, ``[B, 2]`` (int64), with reflection smaller than the image.
        padding: what moves in: zeros, or the image mirrored at its outermost pixels.

    Shapes: ``[B, C, H, W]`` -> the same, in channels_last memory.
    """
    _, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - by[:, :1]  # where every row comes from, [B, H]
    columns = torch.arange(width, device=images.device) - by[:, 1:]
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    pixels = images.permute(0, 2, 3, 1)
    pixels = pixels[batch, _reflect(rows, height)[:, :, None], _reflect(columns, width)[:, None, :]]
    if padding == "zeros":
        inside = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
        pixels = pixels * inside[..., None]
    return pixels.permute(0, 3, 1, 2)


def _reflect(index: Tensor, length: int) -> Tensor:
    return (length - 1) - ((length - 1) - index.abs()).abs()


def _inside(index: Tensor, length: int) -> Tensor:
    return (index >= 0) & (index < length)
