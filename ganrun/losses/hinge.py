"""Hinge loss (Lim & Ye, *Geometric GAN*, 2017, arXiv 1705.02894; Tran, Ranganath & Blei, 2017, arXiv 1702.08896)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from ganrun.losses.base import AdversarialLoss


class Hinge(AdversarialLoss):
    """``max(0, 1 - r) + max(0, 1 + f)`` against ``-f``. At equilibrium the discriminator's loss is 2.

    The optimal discriminator is the sign of ``p - p_g``, and its loss 2 - 2 TV(p, p_g). Samples outside the margin
    give the discriminator no gradient.
    """

    threshold = 0.0

    def discriminator_real(self, score: Tensor) -> Tensor:
        return relu(1 - score)

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return relu(1 + score)

    def generator_fake(self, score: Tensor) -> Tensor:
        return -score

    def generator_real(self, score: Tensor) -> Tensor:
        return score

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": 2.0}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        return {"total_variation": 1 - discriminator_loss / 2}
