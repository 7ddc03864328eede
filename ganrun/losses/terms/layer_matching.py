"""Feature matching layer by layer.

Wang et al., *High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs*, CVPR 2018,
arXiv 1711.11585, equation 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.tensors import exact
from ganrun.losses.base import Comparison, Term


class LayerMatching(Term):
    """``weight · ∑_i mean |D_i(y) - D_i(x)|`` over the hidden layers i, averaged over scales: a term of the generator.

    The i-th fake is compared with the i-th real, so both must belong together. ``D_i(x)`` is a constant. Costs a pass
    of the reals without a graph.

    Args:
        weight: factor; 10 in the paper and in GauGAN.
    """

    requires = ("aligned",)

    def __init__(self, weight: NonNegative) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, comparison: Comparison) -> Tensor:
        real, fake = comparison.real_output, comparison.fake_output
        if not fake.features:
            name = type(comparison.discriminator).__name__
            raise RunError(
                f"the discriminator {name} hands out no features, which a term of the loss compares. Choose another "
                "model, or drop the term."
            )
        pairs = zip(fake.features, real.features, strict=True)
        distances = [(exact(made) - exact(true.detach())).abs().mean() for made, true in pairs]
        return self.weight * torch.stack(distances).sum() / len(fake.scores)
