"""Non-saturating GAN (Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014, section 3)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from ganrun.losses.logistic import Logistic


class NonSaturating(Logistic):
    """``-log σ(r) - log(1 - σ(f))`` against ``-log σ(f)``.

    At equilibrium the discriminator's loss is 2 log 2 and the generator's log 2. With the discriminator at its
    optimum, the generator follows the gradient of KL(p_g, p) - 2 JSD (Arjovsky & Bottou 2017).
    Arguments: :class:`~ganrun.losses.logistic.Logistic`.
    """

    def generator_fake(self, score: Tensor) -> Tensor:
        return softplus(-score)

    def generator_real(self, score: Tensor) -> Tensor:
        return softplus(score)

    def equilibrium(self) -> dict[str, float]:
        return super().equilibrium() | {"generator": -math.log((self.real_target + self.fake_target) / 2)}
