"""Bicubic resampling that can be differentiated twice.

``torch.nn.functional.grid_sample`` has a gradient, but that gradient has none of its own. Resampling is linear in the
image, so its gradient is the adjoint map, and the gradient of the adjoint is resampling again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

_BICUBIC, _REFLECTION = 2, 2  # as the operator numbers them


def resample(images: Tensor, grid: Tensor) -> Tensor:
    """Bicubic samples of every image, mirrored at its border.

    On CUDA, gradients are sums of atomic additions, whose order and last bits vary.

    Args:
        images: ``[B, C, H, W]``.
        grid: positions ``[B, h, w, 2]`` as (right, down), -1 and 1 being the borders of the image; constants, without
            a gradient.

    Shapes: -> ``[B, C, h, w]``.
    """
    resampled: Tensor = _Resample.apply(images, grid.to(images.dtype))
    return resampled


class _Resample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Adjoint.apply(gradient, grid, ctx.shape), None


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        images = gradient.new_zeros(()).expand(shape)  # of images only the shape matters
        adjoint: Tensor = torch.ops.aten.grid_sampler_2d_backward(
            gradient, images, grid, _BICUBIC, _REFLECTION, False, (True, False)
        )[0]
        return adjoint

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Resample.apply(gradient, grid), None, None
