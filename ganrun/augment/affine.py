"""Affine maps of the plane as homogeneous matrices ``[B, 3, 3]`` that act on (right, down, 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def _matrix(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(list(row), -1) for row in rows], -2)


def scaling(right: Tensor, down: Tensor) -> Tensor:
    """Factors ``[B]`` along either axis."""
    zero, one = torch.zeros_like(right), torch.ones_like(right)
    return _matrix([[right, zero, zero], [zero, down, zero], [zero, zero, one]])


def rotation(angle: Tensor) -> Tensor:
    """Angles ``[B]`` in radians, clockwise as seen."""
    zero, one, cosine, sine = torch.zeros_like(angle), torch.ones_like(angle), angle.cos(), angle.sin()
    return _matrix([[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]])


def translation(by: Tensor) -> Tensor:
    """Pixels ``[2, B]``, right and down."""
    right, down = by
    zero, one = torch.zeros_like(right), torch.ones_like(right)
    return _matrix([[one, zero, right], [zero, one, down], [zero, zero, one]])


def compose(first: Tensor, second: Tensor) -> Tensor:
    """Matrix products, written out because a GPU may round the factors of ``@`` to ten bits."""
    return (first[..., :, :, None] * second[..., None, :, :]).sum(-2)


def grid(inverse: Tensor, height: int, width: int) -> Tensor:
    """Positions ``[B, height, width, 2]`` that the pixels come from, the borders of the image being at -1 and 1."""
    down = torch.arange(height, device=inverse.device)[:, None] - (height - 1) / 2
    right = torch.arange(width, device=inverse.device) - (width - 1) / 2
    x, y = (
        inverse[:, row, 0, None, None] * right + inverse[:, row, 1, None, None] * down + inverse[:, row, 2, None, None]
        for row in (0, 1)
    )
    return torch.stack([x * (2 / width), y * (2 / height)], -1)
