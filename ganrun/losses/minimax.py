"""Minimax GAN (Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014, equation 1)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from ganrun.losses.logistic import Logistic


class Minimax(Logistic):
    """``-log σ(r) - log(1 - σ(f))`` against ``log(1 - σ(f))``.

    The generator's gradient vanishes while the discriminator rejects fakes with confidence; the loss is kept for
    study. At equilibrium the discriminator's loss is 2 log 2 and the generator's -log 2. With the discriminator at
    its optimum, its loss is 2 log 2 - 2 JSD(p, p_g). Arguments: :class:`~ganrun.losses.logistic.Logistic`.
    """

    def generator_fake(self, score: Tensor) -> Tensor:
        return -softplus(score)

    def generator_real(self, score: Tensor) -> Tensor:
        return -softplus(-score)

    def equilibrium(self) -> dict[str, float]:
        return super().equilibrium() | {"generator": math.log(1 - (self.real_target + self.fake_target) / 2)}
