"""Minimax GAN (Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014, equation 1)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from ganrun.losses.base import AdversarialLoss


class Minimax(AdversarialLoss):
    """``-log σ(r) - log(1 - σ(f))`` against ``log(1 - σ(f))``.

    The generator's gradient vanishes while the discriminator rejects fakes with confidence; the loss is kept for
    study. At equilibrium the discriminator's loss is 2 log 2 and the generator's -log 2.
    """

    threshold = 0.0

    def discriminator_real(self, score: Tensor) -> Tensor:
        return softplus(-score)

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return softplus(score)

    def generator_fake(self, score: Tensor) -> Tensor:
        return -softplus(score)

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": 2 * math.log(2), "generator": -math.log(2)}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        return {"jensen_shannon": math.log(2) - discriminator_loss / 2}
