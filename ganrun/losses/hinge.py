"""Hinge loss (Lim & Ye, *Geometric GAN*, 2017, arXiv 1705.02894; Tran, Ranganath & Blei, 2017, arXiv 1702.08896)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from ganrun.losses.base import AdversarialLoss


class Hinge(AdversarialLoss):
    """``max(0, 1 - r) + max(0, 1 + f)`` against ``-f``. At equilibrium the discriminator's loss is 2."""

    def discriminator_real(self, score: Tensor) -> Tensor:
        return relu(1 - score)

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return relu(1 + score)

    def generator_fake(self, score: Tensor) -> Tensor:
        return -score
