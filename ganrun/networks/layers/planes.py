"""Conditions of the same size as the image, as planes that a convolution can read."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def planes(condition: Tensor | None, count: int, size: tuple[int, int] | None = None) -> Tensor:
    """Source images as they are, label maps as one plane per class.

    Args:
        condition: source images ``[B, count, H, W]``, or label maps ``[B, H, W]`` (int64, 0 to ``count`` - 1).
        count: planes.
        size: height and width to which they are brought by taking the nearest pixel; ``None``: their own.

    Shapes: -> ``[B, count, *size]``, float.

    Raises:
        ValueError: there is no condition.
    """
    if condition is None:
        raise ValueError("this network needs a condition of the size of the image, and was given none")
    if condition.ndim == 3:
        classes = torch.arange(count, device=condition.device)[:, None, None]
        condition = (condition[:, None] == classes).float()
    if size is None or condition.shape[2:] == size:
        return condition
    return interpolate(condition, size=size, mode="nearest")
