"""The discriminator's side of the logistic losses: binary cross-entropy, with soft or flipped targets on request."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganrun.core.arguments import Fraction
from ganrun.losses.base import AdversarialLoss


class Logistic(AdversarialLoss):
    """Cross-entropy of σ(score) with a target for reals and one for fakes; the generator's side is left to subclasses.

    Targets 1 and 0 give ``-log σ(r) - log(1 - σ(f))`` of Goodfellow et al. (2014), whose optimum is the logarithm of
    the ratio of real to generated density. Smoothed targets are those of Salimans et al., *Improved Techniques for
    Training GANs*, NeurIPS 2016, section 3.4: the optimal σ is (α p + β q) / (p + q). Labels flipped with
    probability e equal, in expectation, targets that are moved by the share e towards each other.

    Args:
        real_target: α, what σ of a real score is to be.
        fake_target: β, what σ of a fake score is to be.
        flip_probability: chance of a sample to get the other side's target, in the discriminator's moves.

    Raises:
        ValueError: ``real_target`` is not above ``fake_target``.
    """

    provides = ("logistic", "element_wise")

    def __init__(
        self,
        real_target: Fraction,
        fake_target: Fraction,
        flip_probability: Annotated[float, ">= 0", "< 0.5"],
    ) -> None:
        super().__init__()
        if real_target <= fake_target:
            raise ValueError(f"real_target must be above fake_target, got {real_target} and {fake_target}")
        self.real_target = real_target
        self.fake_target = fake_target
        self.flip_probability = flip_probability
        self.sigma = (real_target + fake_target) / 2  # optimal where reals and fakes are alike; flips do not move it
        self.threshold = math.log(self.sigma / (1 - self.sigma))

    def discriminator_real(self, score: Tensor) -> Tensor:
        return self._cross_entropy(score, self.real_target, self.fake_target)

    def discriminator_fake(self, score: Tensor) -> Tensor:
        return self._cross_entropy(score, self.fake_target, self.real_target)

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        if (self.real_target, self.fake_target, self.flip_probability) != (1, 0, 0):
            return {}
        return {"jensen_shannon": math.log(2) - discriminator_loss / 2}

    def equilibrium(self) -> dict[str, float]:
        entropy = -self.sigma * math.log(self.sigma) - (1 - self.sigma) * math.log(1 - self.sigma)
        return {"discriminator": 2 * entropy}

    def _cross_entropy(self, score: Tensor, target: float | Tensor, other: float) -> Tensor:
        if self.flip_probability > 0:
            draw = torch.rand(len(score), *[1] * (score.ndim - 1), device=score.device)
            target = target + (draw < self.flip_probability).to(score.dtype) * (other - target)
        return target * softplus(-score) + (1 - target) * softplus(score)
