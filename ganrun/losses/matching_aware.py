"""GAN-CLS (Reed et al., *Generative Adversarial Text to Image Synthesis*, ICML 2016, Algorithm 1)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Comparison, average


class MatchingAware(AdversarialLoss):
    """An element-wise loss whose discriminator also rejects reals with a wrong condition.

    Costs the discriminator one more pass. Wrong conditions are taken from the batch. If they are drawn independently
    of the samples, p_g = p is not the generator's optimum, but p_g = 2 p - p(c) p(x) where that is not negative; with
    ``"strict"`` ones and labels that are a function of the sample it is.

    Differs from the paper: its wrong conditions are independent draws.

    Args:
        loss: on scores of matched reals and of fakes, e.g. the non-saturating one.
        fake_weight: weight of the fakes in the discriminator's loss, 1/2 in the paper.
        wrong_weight: weight of the wrong pairs, 1/2 in the paper.
        wrong: ``"strict"``: for each real the label of a random sample of the batch with another label; a batch of one
            label has no wrong pairs; ``"independent"``: the label of the next sample, which may be the right one.

    Raises:
        ValueError: ``loss`` is not element-wise.
    """

    requires = ("labels", "conditional")

    def __init__(
        self,
        loss: AdversarialLoss,
        fake_weight: NonNegative,
        wrong_weight: NonNegative,
        wrong: Literal["strict", "independent"],
    ) -> None:
        super().__init__()
        if "element_wise" not in loss.provides:
            raise ValueError(f"loss must be made of formulas of single scores, and {type(loss).__name__} is not")
        self.loss = loss
        self.threshold = loss.threshold
        self.fake_weight = fake_weight
        self.wrong_weight = wrong_weight
        self.wrong = wrong

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        if comparison.condition is None:
            raise RunError("A matching-aware loss needs conditions. Set model.conditional=true or choose another loss.")
        right = self.loss.discriminator_terms(comparison)
        labels, weights = self.wrong_labels(comparison.condition)

        def weighted(score: Tensor) -> Tensor:
            return self.loss.discriminator_fake(score) * weights.view(-1, *[1] * (score.ndim - 1))

        wrong = average(weighted, comparison.judge(comparison.real, labels).scores)
        return {
            "real": right["real"],
            "fake": self.fake_weight * right["fake"],
            "wrong": self.wrong_weight * wrong,
        }

    def generator_terms(self, comparison: Comparison) -> Terms:
        return self.loss.generator_terms(comparison)

    def wrong_labels(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """A wrong label for every sample, and weights of mean 1 that are 0 where the batch has none, ``[B]`` both."""
        if self.wrong == "independent":
            return labels.roll(1), torch.ones(len(labels), device=labels.device)
        differ = labels[:, None] != labels
        chosen = torch.rand(differ.shape, device=labels.device).masked_fill(~differ, -1).argmax(1)
        weights = differ.any(1).float()
        return labels[chosen], weights / weights.mean().clamp(min=1 / len(labels))
