"""WGAN-div (Wu, Huang, Thoma, Acharya & Van Gool, *Wasserstein Divergence for GANs*, ECCV 2018, arXiv 1712.01026)."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term
from ganrun.losses.terms.input_gradient import Points, choose, input_gradient, squared_norm


class WassersteinDivergence(Term):
    """``weight · mean ‖∇D(x̂)‖^power``: with the Wasserstein loss, minus a symmetric divergence (equation 6).

    Costs one more forward pass and a double backward through the discriminator.

    Args:
        weight: k of the paper, 2 there; its published code has 10.
        power: p of the paper, 6 there. Below 2 the penalty would have no finite slope at a vanishing gradient.
        points: ``lines``: uniformly on the lines between paired reals and fakes; ``real``; ``fake``. The paper finds
            that it matters little.
    """

    forbids = ("batch_norm", "coupled_samples")

    def __init__(self, weight: NonNegative, power: Annotated[float, ">= 2"], points: Points) -> None:
        super().__init__()
        self.weight = weight
        self.power = power
        self.points = points

    def forward(self, comparison: Comparison) -> Tensor:
        squared = squared_norm(input_gradient(comparison, choose(comparison, self.points)))
        return self.weight * (squared ** (self.power / 2)).mean()
