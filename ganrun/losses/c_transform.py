"""c-transform WGAN (Mallasto et al., *How Well Do WGANs Estimate the Wasserstein Metric?*, arXiv 1910.03875)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.core.tensors import exact
from ganrun.core.types import Terms
from ganrun.losses.base import AdversarialLoss, Comparison


class CTransform(AdversarialLoss):
    """``-mean r - mean Dᶜ(y)`` against ``mean Dᶜ(y)`` with ``Dᶜ(y) = min over the real batch of c(x, y) - D(x)``.

    For any D the negative of the discriminator's loss is below the cost of transport between the two batches; the
    discriminator needs, and should have, no Lipschitz constraint. The generator's gradient is that of the cost to one
    real sample, for D is never evaluated at fakes: an accurate transport makes blurred, k-means-like images
    (Stanczuk et al., arXiv 2103.01678). Costs memory for all pairs of a batch.

    Args:
        cost: c: the norm of the difference of two flattened samples (W1), or its square (W2²).
        softness: ε of the soft minimum ``-ε log mean exp(-·/ε)``, which is between the minimum and
            that plus ε log N; 0: the minimum.
    """

    forbids = ("patch_scores", "pairs", "residuals", "wrong_pairs")
    provides = ("pairwise",)

    def __init__(self, cost: Literal["euclidean", "squared_euclidean"], softness: NonNegative) -> None:
        super().__init__()
        self.cost = cost
        self.softness = softness

    def discriminator_terms(self, comparison: Comparison) -> Terms:
        real = exact(comparison.real_output.score)
        return {"real": -real.mean(), "transform": -self.transform(comparison).mean()}

    def generator_terms(self, comparison: Comparison) -> Terms:
        return {"adversarial": self.transform(comparison).mean()}

    def transform(self, comparison: Comparison) -> Tensor:
        """``Dᶜ`` of every fake, ``[B]``."""
        real, fake = exact(comparison.real.flatten(1)), exact(comparison.fake.flatten(1))
        # without matrix multiplication: that is inexact for close pairs
        cost = torch.cdist(real, fake, compute_mode="donot_use_mm_for_euclid_dist")
        if self.cost == "squared_euclidean":
            cost = cost**2
        slack = cost - exact(comparison.real_output.score)[:, None]
        if self.softness == 0:
            return slack.amin(0)
        return -self.softness * (torch.logsumexp(-slack / self.softness, 0) - math.log(len(slack)))

    def certificate(self, discriminator_loss: Tensor) -> dict[str, Tensor]:
        """``batch_transport`` is the cost of transport between the two batches, which is above that of P and Q."""
        return {} if self.softness else {"batch_transport": -discriminator_loss}
