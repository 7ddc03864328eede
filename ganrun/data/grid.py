"""A square grid of Gaussians (Dumoulin et al., *Adversarially Learned Inference*, ICLR 2017; Lin et al., *PacGAN*)."""

from __future__ import annotations

import torch

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.data.points import GaussianMixture


class Grid(GaussianMixture):
    """Gaussians on a square grid around the origin.

    Args:
        side: Gaussians along each axis, so ``side`` squared in all.
        spacing: distance between neighbours.
        std: standard deviation of each.
    """

    provides = ("points",)

    def __init__(self, side: PositiveInt, spacing: Positive, std: Positive) -> None:
        axis = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) * spacing
        super().__init__("grid", torch.cartesian_prod(axis, axis), std)
