"""A ring of Gaussians (Metz et al., *Unrolled Generative Adversarial Networks*, ICLR 2017, arXiv 1611.02163)."""

from __future__ import annotations

import math

import torch

from ganrun.core.arguments import NonNegative, Positive, PositiveInt
from ganrun.data.points import GaussianMixture


class Ring(GaussianMixture):
    """Gaussians spaced evenly on a circle around the origin.

    Args:
        modes: number of Gaussians.
        radius: radius of the circle.
        std: standard deviation of each.
    """

    provides = ("points",)

    def __init__(self, modes: PositiveInt, radius: NonNegative, std: Positive) -> None:
        angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
        super().__init__("ring", radius * torch.stack([angles.cos(), angles.sin()], dim=1), std)
