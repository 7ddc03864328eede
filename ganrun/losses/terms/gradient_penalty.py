"""Gradient penalties (Gulrajani et al., *Improved Training of Wasserstein GANs*, NeurIPS 2017, equation 3).

The one-sided square is the *Lipschitz penalty* of Petzka, Fischer & Lukovnikov, *On the Regularization of Wasserstein
GANs*, ICLR 2018, arXiv 1709.08894, equation 8; a target of 0 gives the zero-centred penalty of Thanh-Tung, Tran &
Venkatesh, *Improving Generalization and Stability of GANs*, ICLR 2019, arXiv 1902.03984.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import relu

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term
from ganrun.losses.terms.input_gradient import Points, choose, input_gradient


class GradientPenalty(Term):
    """``weight · mean (‖∇D(x̂)‖ - target)²``, or only where the norm exceeds the target.

    Costs one more forward pass and a double backward through the discriminator. Layers that mix the samples whose
    gradients are taken (batch norm, minibatch layers) are refused.

    Args:
        weight: λ of the papers.
        target: the norm aimed at: 1, or 0 for a zero-centred penalty.
        side: what the penalty is of the excess e = ‖∇D‖ - target: ``two``: e² (WGAN-GP); ``one``: max(0, e);
            ``one_squared``: max(0, e)² (WGAN-LP).
        points: ``lines``: uniformly on the lines between paired reals and fakes (the papers); ``real``; ``fake``.
        norm_over: ``sample``: over all dimensions of a sample (the papers); ``channels``: at every pixel over its
            channels, then averaged over pixels, with the patch scores summed, as SinGAN's published code does.
    """

    forbids = ("batch_norm", "coupled_samples")

    def __init__(
        self,
        weight: NonNegative,
        target: NonNegative,
        side: Literal["two", "one", "one_squared"],
        points: Points,
        norm_over: Literal["sample", "channels"],
    ) -> None:
        super().__init__()
        self.weight = weight
        self.target = target
        self.side = side
        self.points = points
        self.norm_over = norm_over

    def forward(self, comparison: Comparison) -> Tensor:
        per_pixel = self.norm_over == "channels"
        gradient = input_gradient(comparison, choose(comparison, self.points), sum_maps=per_pixel)
        return self.weight * self.penalty(gradient if per_pixel else gradient.flatten(1)).mean()

    def penalty(self, gradient: Tensor) -> Tensor:
        """The unweighted penalty of gradients whose norm is taken over dimension 1."""
        if self.target == 0 and self.side != "one":
            return gradient.square().sum(1)  # no square root, which has no slope at 0
        excess = torch.linalg.vector_norm(gradient, dim=1) - self.target
        if self.side == "two":
            return excess.square()
        return relu(excess) if self.side == "one" else relu(excess).square()
