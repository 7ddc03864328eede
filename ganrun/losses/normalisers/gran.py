"""GraN-GAN (Bhaskara et al., *Piecewise Gradient Normalization for GANs*, WACV 2022, arXiv 2111.03162)."""

from __future__ import annotations

from torch import Tensor

from ganrun.core.arguments import Positive
from ganrun.losses.normalisers.base import Normaliser


class PiecewiseGradientNormalisation(Normaliser):
    """``K D(x) ‖∇D(x)‖ / (‖∇D(x)‖² + ε)``, whose slope is below K where D is linear.

    It jumps where the piece changes, by as much as D is large: a Wasserstein loss of it has no bound, and diverges
    where fakes have none (points instead of images in [-1, 1]).

    Args:
        eps: ε, 0.1 in the paper.
        lipschitz: K.
    """

    def __init__(self, eps: Positive, lipschitz: Positive) -> None:
        super().__init__()
        self.eps = eps
        self.lipschitz = lipschitz

    def formula(self, score: Tensor, slope: Tensor) -> Tensor:
        return self.lipschitz * score * slope / (slope**2 + self.eps)
