"""Relativistic GANs (Jolicoeur-Martineau, *The relativistic discriminator*, ICLR 2019, arXiv 1807.00734)."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.nn.functional import relu, softplus

from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Comparison, average_of_both


class RelativisticPairs(AdversarialLoss):
    """``-log σ(r - f)`` against ``-log σ(f - r)``: is this sample more real than that one?

    The i-th real is compared with the i-th fake, which have the same condition, as in RpGAN (Sun, Fang & Schwing,
    NeurIPS 2020, arXiv 2011.04926) and R3GAN (Huang et al., NeurIPS 2024, arXiv 2501.05441). The optimal
    discriminator is log(p / p_g) and any constant; at equilibrium both losses are log 2. The reals in the generator's
    move cost one more pass, without a graph.

    Args:
        pairs: ``"paired"``; or ``"all"``: every real with every fake of the batch, which estimates the same expectation
            with less variance, but compares samples of different conditions.
    """

    provides = ("pairwise",)

    def __init__(self, pairs: Literal["paired", "all"]) -> None:
        super().__init__()
        self.pairs = pairs

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        real, fake = comparison.real_output.scores, comparison.fake_output.scores
        return {"pairs": average_of_both(self._is_first_more_real, real, fake)}

    def generator_terms(self, comparison: Comparison) -> Terms:
        real, fake = comparison.real_output.scores, comparison.fake_output.scores
        return {"adversarial": average_of_both(self._is_first_more_real, fake, real)}

    def _is_first_more_real(self, first: Tensor, second: Tensor) -> Tensor:
        if self.pairs == "all":
            first = first.unsqueeze(1)
        return softplus(-(first - second))

    def equilibrium(self) -> dict[str, float]:
        return {"discriminator": math.log(2), "generator": math.log(2)}

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """``relativistic_jensen_shannon`` is the JSD between the pairs (real, fake) and (fake, real)."""
        return {"relativistic_jensen_shannon": math.log(2) - discriminator_loss}


class RelativisticAverage(AdversarialLoss):
    """``ℓ(r - f̄) + ℓ(r̄ - f)`` against ``ℓ(f - r̄) + ℓ(f̄ - r)``, with the means r̄ and f̄ over the batch.

    RaSGAN, RaLSGAN and RaHingeGAN. The gradient passes through the means. At
    equilibrium both losses are 2 log 2 (logistic) or 2. The loss of a small batch is biased, for its means are
    those of the samples that are compared with them (*On Relativistic f-Divergences*, ICML 2020, arXiv 1901.02474).

    Differs from the paper: the two terms are added, where the author's code halves them; the means are those of one
    device's share of the batch.

    Args:
        formula: ℓ of a lead d: ``"logistic"``: -log σ(d), ``"least_squares"``: (d - 1)², ``"hinge"``: max(0, 1 - d).
    """

    provides = ("pairwise",)

    def __init__(self, formula: Literal["logistic", "least_squares", "hinge"]) -> None:
        super().__init__()
        self.formula = formula

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        real, fake = comparison.real_output.scores, comparison.fake_output.scores
        return {
            "real": average_of_both(lambda r, f: self._loss(r - f.mean()), real, fake),
            "fake": average_of_both(lambda r, f: self._loss(r.mean() - f), real, fake),
        }

    def generator_terms(self, comparison: Comparison) -> Terms:
        real, fake = comparison.real_output.scores, comparison.fake_output.scores
        return {
            "real": average_of_both(lambda r, f: self._loss(f.mean() - r), real, fake),
            "fake": average_of_both(lambda r, f: self._loss(f - r.mean()), real, fake),
        }

    def equilibrium(self) -> dict[str, float]:
        both = 2 * math.log(2) if self.formula == "logistic" else 2.0
        return {"discriminator": both, "generator": both}

    def _loss(self, lead: Tensor) -> Tensor:
        if self.formula == "logistic":
            return softplus(-lead)
        return (lead - 1) ** 2 if self.formula == "least_squares" else relu(1 - lead)
