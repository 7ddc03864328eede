"""Gradient penalty (Gulrajani et al., *Improved Training of Wasserstein GANs*, NeurIPS 2017, equation 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term


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
    return gradient.float() if gradient.dtype != torch.float64 else gradient


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """Points on the lines between paired samples, one uniform position per pair."""
    position = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(fake.detach(), real.detach(), position)


class GradientPenalty(Term):
    """``weight · mean (‖∇D(x̂)‖ - target)²`` at points between paired real and fake samples.

    Costs one more forward pass and a double backward through the discriminator. Batch norm in the discriminator
    mixes the samples whose gradients are taken, and is refused.

    Args:
        weight: λ of the paper.
        target: the norm aimed at, 1 in the paper.
        norm_over: ``"sample"``: over all dimensions of a sample (the paper); ``"channels"``: at every pixel over its
            channels, then averaged over pixels, with the patch scores summed, as SinGAN's published code does.
    """

    forbids = ("batch_norm",)

    def __init__(self, weight: NonNegative, target: NonNegative, norm_over: Literal["sample", "channels"]) -> None:
        super().__init__()
        self.weight = weight
        self.target = target
        self.norm_over = norm_over

    def forward(self, comparison: Comparison) -> Tensor:
        per_pixel = self.norm_over == "channels"
        gradient = input_gradient(comparison, interpolate(comparison.real, comparison.fake), sum_maps=per_pixel)
        if not per_pixel:
            gradient = gradient.flatten(1)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        return self.weight * ((norm - self.target) ** 2).mean()
