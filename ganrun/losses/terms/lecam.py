"""LeCam regularisation (Tseng et al., *Regularizing GANs under Limited Data*, CVPR 2021, arXiv 2104.03310)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn.functional import relu

from ganrun.core.arguments import NonNegative, NonNegativeInt
from ganrun.core.types import Moment
from ganrun.losses.base import Comparison, Term, average


class LeCam(Term):
    """``weight · [mean max(0, r - a_F)² + mean max(0, a_R - f)²]``: scores stay near the other side's running mean.

    The anchors a_R and a_F are moving averages of the mean real and fake score, corrected for their start at zero; they
    carry no gradient and take in the batch before it is judged. Several scales share them. Needs no further pass.

    Args:
        weight: λ of the paper.
        form: ``relu``: one-sided, as in the published code; ``l2``: ``(r - a_F)²`` and ``(f - a_R)²`` (equation 4).
        decay: of the anchors per discriminator move.
        start_step: the first step with a penalty; the anchors are followed from the beginning.
    """

    total_real: Tensor
    total_fake: Tensor
    total_weight: Tensor

    def __init__(
        self,
        weight: NonNegative,
        form: Literal["relu", "l2"],
        decay: Annotated[float, ">= 0", "< 1"],
        start_step: NonNegativeInt,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.form = form
        self.decay = decay
        self.start_step = start_step
        for name in ("total_real", "total_fake", "total_weight"):
            self.register_buffer(name, torch.zeros(()))

    def forward(self, comparison: Comparison) -> Tensor | None:
        real, fake = comparison.real_output.scores, comparison.fake_output.scores
        anchor_real, anchor_fake = self.anchors(real, fake)
        if not comparison.moment.decide(self.has_begun):
            return None
        clip = relu if self.form == "relu" else torch.nn.Identity()
        distance_real = average(lambda score: clip(score - anchor_fake).square(), real)
        distance_fake = average(lambda score: clip(anchor_real - score).square(), fake)
        return self.weight * (distance_real + distance_fake)

    def has_begun(self, moment: Moment) -> bool:
        """Whether there is a penalty by now."""
        return moment.step >= self.start_step

    @torch.no_grad()
    def anchors(self, real: tuple[Tensor, ...], fake: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Take in the scores of one batch; the anchors of reals and fakes."""
        mean_real, mean_fake = (average(lambda score: score, scores) for scores in (real, fake))
        self.total_real.lerp_(mean_real.to(self.total_real), 1 - self.decay)
        self.total_fake.lerp_(mean_fake.to(self.total_fake), 1 - self.decay)
        self.total_weight.lerp_(torch.ones_like(self.total_weight), 1 - self.decay)
        return self.total_real / self.total_weight, self.total_fake / self.total_weight
