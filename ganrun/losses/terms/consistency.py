"""Consistency regularisation of the discriminator.

Zhang, Zhang, Odena, Lee, *Consistency Regularization for Generative Adversarial Networks*, ICLR 2020, arXiv 1910.12027;
balanced (on fakes too): Zhao et al., *Improved Consistency Regularization for GANs*, AAAI 2021, arXiv 2002.04724.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegative
from ganrun.core.tensors import exact
from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison, Term


class Consistency(Term):
    """``weight · mean (D(T(x)) - D(x))² + fake_weight · mean (D(T(y)) - D(y))²`` over reals x and fakes y.

    T keeps what matters in an image, so D should not see it. Both scores carry gradients: neither is a fixed target.
    The fakes are constants: the term is the discriminator's. Augmentations of the whole run, if any, are drawn anew
    for x and for T(x), and D is then made consistent under these too. Costs one more forward and backward pass for
    each weight that is not 0.

    Args:
        weight: λ of the reals; 10 in both papers.
        fake_weight: λ of the fakes; 0 is CR-GAN, 10 the balanced form.
        transform: T, an augmentation such as :class:`ganrun.augment.flip_shift.FlipShift`.
    """

    def __init__(self, weight: NonNegative, fake_weight: NonNegative, transform: nn.Module) -> None:
        super().__init__()
        self.weight = weight
        self.fake_weight = fake_weight
        self.transform = transform

    def forward(self, comparison: Comparison) -> Tensor:
        total = torch.zeros((), device=comparison.real.device)
        if self.weight:
            total = total + self.weight * self._change(comparison, comparison.real, comparison.real_output)
        if self.fake_weight:
            total = total + self.fake_weight * self._change(comparison, comparison.fake, comparison.fake_output)
        return total

    def _change(self, comparison: Comparison, samples: Tensor, output: DiscriminatorOutput) -> Tensor:
        """Mean square of what T does to the scores: over each map, then over the maps."""
        changed = comparison.judge(self.transform(samples.detach(), comparison.moment))
        pairs = zip(changed.scores, output.scores, strict=True)
        return torch.stack([(exact(after) - exact(before)).square().mean() for after, before in pairs]).mean()
