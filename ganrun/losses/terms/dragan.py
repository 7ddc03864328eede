"""DRAGAN (Kodali, Abernethy, Hays & Kira, *On Convergence and Stability of GANs*, 2017, arXiv 1705.07215)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term
from ganrun.losses.terms.input_gradient import input_gradient, one_per_sample


def around(real: Tensor, noise: float) -> Tensor:
    """Points between the reals and ``x + noise · std(x) · u``: u in [0, 1) per element, one position per sample."""
    real = real.detach()
    step = noise * real.std(correction=0) * torch.rand_like(real)
    return real + one_per_sample(real) * step


class Dragan(Term):
    """``weight · mean (‖∇D(x̂)‖ - target)²`` at points around the reals.

    Differs from the paper, whose noise is Gaussian: it is uniform and never negative here, as in the published code.
    Costs one more forward pass and a double backward through the discriminator.

    Args:
        weight: λ of the paper.
        target: k of the paper, the norm aimed at.
        noise: size of the perturbation in standard deviations of the batch of reals.
    """

    forbids = ("batch_norm", "coupled_samples")

    def __init__(self, weight: NonNegative, target: NonNegative, noise: NonNegative) -> None:
        super().__init__()
        self.weight = weight
        self.target = target
        self.noise = noise

    def forward(self, comparison: Comparison) -> Tensor:
        gradient = input_gradient(comparison, around(comparison.real, self.noise))
        norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return self.weight * (norm - self.target).square().mean()
