"""Energy-based GAN (Zhao, Mathieu & LeCun, ICLR 2017, arXiv 1609.03126, equations 1 and 2)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from ganrun.core.arguments import Positive
from ganrun.losses.base import AdversarialLoss


class EnergyMargin(AdversarialLoss):
    """``E(x) + max(0, m - E(y))`` against ``E(y)``, where a score is minus an energy.

    At equilibrium the discriminator's loss is m, and the energy any constant up to m. Where every fake is above the
    margin, the discriminator learns from reals only.

    Args:
        margin: m, in units of the discriminator's reconstruction error, whose reduction (mean or sum over pixels) it
            goes with. A start is the error of reals before training.
    """

    requires = ("energy",)

    def __init__(self, margin: Positive) -> None:
        super().__init__()
        self.margin = margin

    def discriminator_real(self, score: Tensor) -> Tensor:
        return -score

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return relu(self.margin + score)

    def generator_fake(self, score: Tensor) -> Tensor:
        return -score

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": self.margin}
