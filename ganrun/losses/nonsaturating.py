"""Non-saturating GAN (Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014, section 3)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from ganrun.losses.base import AdversarialLoss


class NonSaturating(AdversarialLoss):
    """``-log σ(r) - log(1 - σ(f))`` against ``-log σ(f)``.

    At equilibrium the discriminator's loss is 2 log 2 and the generator's log 2. With the discriminator at its
    optimum, the generator follows the gradient of KL(p_g, p) - 2 JSD (Arjovsky & Bottou 2017).
    """

    threshold = 0.0

    def discriminator_real(self, score: Tensor) -> Tensor:
        return softplus(-score)

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return softplus(score)

    def generator_fake(self, score: Tensor) -> Tensor:
        return softplus(-score)

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": 2 * math.log(2), "generator": math.log(2)}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        return {"jensen_shannon": math.log(2) - discriminator_loss / 2}
