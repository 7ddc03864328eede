"""GAN-CLS (Reed et al., *Generative Adversarial Text to Image Synthesis*, ICML 2016, Algorithm 1)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.types import DiscriminatorOutput, Terms
from ganrun.losses.base import AdversarialLoss, Comparison, average


class MatchingAware(AdversarialLoss):
    """A loss whose discriminator also rejects reals with a wrong condition: a label, or the vector of a text.

    Costs the discriminator one more pass. Wrong conditions are taken from the batch. If they are drawn independently
    of the samples, p_g = p is not the generator's optimum, but p_g = 2 p - p(c) p(x) where that is not negative; with
    ``"strict"`` ones and labels that are a function of the sample it is.

    Scores of samples alone, whatever their condition, have fakes but no wrong pairs. The three terms of the fakes' side
    then share its weight: ½ (real_c + real_u) and ⅓ (fake_c + wrong_c + fake_u) with the paper's weights, as in
    StackGAN's second stage (arXiv 1612.03242, published code).

    A relativistic loss compares every real with the fake of its condition and with itself under a wrong one; the two
    comparisons have the weights ``fake_weight`` and ``wrong_weight``.

    Differs from the paper: its wrong conditions are independent draws.

    Args:
        loss: on scores of matched reals and of fakes, e.g. the non-saturating one.
        fake_weight: weight of the fakes in the discriminator's loss, 1/2 in the paper.
        wrong_weight: weight of the wrong pairs, 1/2 in the paper.
        wrong: ``"strict"``: for each real the condition of a random sample of the batch with another condition; a batch
            of one condition has no wrong pairs; ``"independent"``: the condition of the next sample, which may be the
            right one.

    Raises:
        ValueError: ``loss`` compares the samples themselves; or it has no bound, and the weights do not sum to 1.
    """

    requires = ("conditional",)

    def __init__(
        self,
        loss: AdversarialLoss,
        fake_weight: NonNegative,
        wrong_weight: NonNegative,
        wrong: Literal["strict", "independent"],
    ) -> None:
        super().__init__()
        name = type(loss).__name__
        if "wrong_pairs" in loss.forbids or not {"element_wise", "pairwise"} & set(loss.provides):
            raise ValueError(f"loss must be made of formulas of scores, and {name} is not")
        if "unbounded" in loss.provides and not math.isclose(fake_weight + wrong_weight, 1):
            raise ValueError(
                f"{name} has no bound unless both sides weigh the same: a constant added to all scores would lower it "
                f"for ever. fake_weight={fake_weight} and wrong_weight={wrong_weight} must sum to 1, as 0.5 and 0.5 do"
            )
        self.loss = loss
        self.threshold = loss.threshold
        self.fake_weight = fake_weight
        self.wrong_weight = wrong_weight
        self.wrong = wrong
        self._statistics: dict[str, Tensor] = {}

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        if comparison.condition is None:
            raise RunError("A matching-aware loss needs conditions. Set model.conditional=true or choose another loss.")
        right = self.loss.discriminator_terms(comparison)
        conditions, weights = self.wrong_conditions(comparison.condition)
        matched = with_condition(comparison.real_output)
        mismatched = with_condition(comparison.judge(comparison.real, conditions))
        self._remember(matched, mismatched)
        fake_weight, wrong_weight = self.weights(alone=comparison.real_output.unconditional > 0)
        if "pairwise" in self.loss.provides:
            wrong = torch.stack(list(self.loss.discriminator_terms(comparison.against(matched, mismatched)).values()))
            return {name: fake_weight * term for name, term in right.items()} | {"wrong": wrong_weight * wrong.sum()}

        def weighted(score: Tensor) -> Tensor:
            return self.loss.discriminator_fake(score) * weights.view(-1, *[1] * (score.ndim - 1))

        return {
            "real": right["real"],
            "fake": fake_weight * right["fake"],
            "wrong": wrong_weight * average(weighted, mismatched.scores),
        }

    def generator_terms(self, comparison: Comparison) -> Terms:
        return self.loss.generator_terms(comparison)

    def weights(self, alone: bool) -> tuple[float, float]:
        """Of the fakes' average over all scores, and of the wrong pairs.

        Args:
            alone: whether there is also a score of samples alone.
        """
        if not alone:
            return self.fake_weight, self.wrong_weight
        together = self.fake_weight + self.wrong_weight
        share = together / (together + self.fake_weight) if together else 0.0
        return 2 * share * self.fake_weight, share * self.wrong_weight  # the fakes' term is an average of two

    def wrong_conditions(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """A wrong condition for every sample, and weights ``[B]`` of mean 1 that are 0 where the batch has none.

        Args:
            conditions: labels ``[B]``, or vectors or maps ``[B, ...]``, which are other ones where any element differs.
        """
        count = len(conditions)
        if self.wrong == "independent":
            return conditions.roll(1, 0), torch.ones(count, device=conditions.device)
        flat = conditions.reshape(count, -1)
        differ = torch.stack([(flat != one).any(1) for one in flat])
        chosen = torch.rand(differ.shape, device=conditions.device).masked_fill(~differ, -1).argmax(1)
        weights = differ.any(1).float()
        return conditions[chosen], weights / weights.mean().clamp(min=1 / count)

    def statistics(self) -> dict[str, Tensor]:
        """``score/wrong``, and by how much the right condition has the higher score: ``score/matching``."""
        return self._statistics

    @torch.no_grad()
    def _remember(self, matched: DiscriminatorOutput, mismatched: DiscriminatorOutput) -> None:
        right, wrong = (average(lambda score: score, output.scores) for output in (matched, mismatched))
        self._statistics = {"score/wrong": wrong, "score/matching": right - wrong}


def with_condition(output: DiscriminatorOutput) -> DiscriminatorOutput:
    """``output`` without the scores of samples alone."""
    return output._replace(scores=output.scores[: len(output.scores) - output.unconditional], unconditional=0)
