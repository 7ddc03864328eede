"""Feature matching (Salimans et al., *Improved Techniques for Training GANs*, NeurIPS 2016, section 3.1)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.core.errors import RunError
from ganrun.core.tensors import exact
from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison, Term


def deepest_features(output: DiscriminatorOutput, comparison: Comparison) -> Tensor:
    """What the discriminator's last layer sees, ``[B, features]``.

    Raises:
        RunError: the discriminator hands out no features.
    """
    if not output.features:
        name = type(comparison.discriminator).__name__
        raise RunError(
            f"the discriminator {name} hands out no features, which a term of the loss compares. Choose "
            "another model, or drop the term."
        )
    return exact(output.features[-1]).flatten(1)


class FeatureMatching(Term):
    """``weight · ‖mean φ(x) - mean φ(y)‖²`` with the discriminator's deepest features φ: a term of the generator.

    The means are over the batch, so batches of 100 and more are advisable. Costs a pass of the reals without a graph.

    Differs from the paper, where it replaces the generator's loss: here it joins it.

    Args:
        weight: factor.
        form: ``l2``: the squared distance of the means (the paper); ``l1``: the mean absolute difference of their
            components, as in the published code.
    """

    def __init__(self, weight: NonNegative, form: Literal["l2", "l1"]) -> None:
        super().__init__()
        self.weight = weight
        self.form = form

    def forward(self, comparison: Comparison) -> Tensor:
        fake = deepest_features(comparison.fake_output, comparison)
        real = deepest_features(comparison.real_output, comparison).detach()
        difference = real.mean(0) - fake.mean(0)
        return self.weight * (difference.square().sum() if self.form == "l2" else difference.abs().mean())
