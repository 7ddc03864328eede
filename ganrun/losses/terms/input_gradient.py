"""Gradients of a discriminator with respect to its input, and the points where penalties take them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ganrun.core.tensors import exact
from ganrun.losses.base import Comparison

Points = Literal["lines", "real", "fake"]
"""On the lines between paired reals and fakes, at the reals, or at the fakes."""


def input_gradient(comparison: Comparison, points: Tensor, sum_maps: bool = False) -> Tensor:
    """Gradient of every sample's score at ``points``, ``[B, ...]``, through which a penalty can be differentiated.

    Args:
        comparison: knows the discriminator and its condition.
        points: where the gradient is taken.
        sum_maps: whether the score of a sample is the sum over its patch map instead of the mean. The scores of
            several scales are added either way.

    Raises:
        RuntimeError: the gradient is not differentiable, so a penalty on it would silently do nothing
            (a compiled discriminator on some versions of torch).
    """
    points = points.detach().requires_grad_()
    maps = [score.reshape(len(score), -1) for score in comparison.judge(points).scores]
    score = torch.stack([(scores if sum_maps else scores.mean(1)).sum() for scores in maps]).sum()
    (gradient,) = torch.autograd.grad(score, points, create_graph=True)
    if not gradient.requires_grad:
        raise RuntimeError("the discriminator's input gradient carries no graph; do not compile the discriminator")
    return exact(gradient)


def squared_norm(gradient: Tensor) -> Tensor:
    """``‖∇D‖²`` over all dimensions of a sample: ``[B, ...]`` -> ``[B]``. No square root, so smooth at 0 as well."""
    return gradient.flatten(1).square().sum(1)


def choose(comparison: Comparison, points: Points) -> Tensor:
    """The points of that name."""
    if points == "lines":
        return interpolate(comparison.real, comparison.fake)
    return comparison.real if points == "real" else comparison.fake


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """Points on the lines between paired samples, one uniform position per pair."""
    return torch.lerp(fake.detach(), real.detach(), one_per_sample(real))


def one_per_sample(samples: Tensor) -> Tensor:
    """A uniform number in [0, 1) for every sample, shaped to multiply ``samples``."""
    return torch.rand(len(samples), *[1] * (samples.ndim - 1), device=samples.device, dtype=samples.dtype)
