"""Pulling-away term (Zhao, Mathieu & LeCun, *Energy-based GAN*, ICLR 2017, arXiv 1609.03126, section 2.4)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term
from ganrun.losses.terms.feature_matching import deepest_features


class PullingAway(Term):
    """``weight · mean over pairs i ≠ j of cos²(S_i, S_j)`` with the fakes' deepest features S: a term of the generator.

    It lies between 0, where the features are orthogonal, and weight, where all fakes are alike. Needs no further pass.

    Args:
        weight: factor, 0.1 in the paper.
    """

    def __init__(self, weight: NonNegative) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, comparison: Comparison) -> Tensor:
        directions = normalize(deepest_features(comparison.fake_output, comparison), dim=1)
        cosines = directions @ directions.T
        others = cosines - cosines.diag().diag()
        count = len(cosines)
        return self.weight * others.square().sum() / max(count * (count - 1), 1)
