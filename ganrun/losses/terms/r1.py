"""R1 and R2 (Mescheder, Geiger & Nowozin, *Which Training Methods for GANs do actually Converge?*, ICML 2018).

Zero-centred penalties at the data, arXiv 1801.04406, equations 9 and 10. Other papers and programs write λ without the
factor 1/2: γ = 2 λ.
"""

from __future__ import annotations

from torch import Tensor

from ganrun.core.arguments import NonNegative
from ganrun.losses.base import Comparison, Term
from ganrun.losses.terms.input_gradient import input_gradient, squared_norm


class R1(Term):
    """``γ/2 · mean ‖∇D(x)‖²`` at the reals.

    Costs one more forward pass and a double backward through the discriminator; :class:`ganrun.losses.terms.lazy.Lazy`
    spreads that over several steps. The minibatch standard deviation is accepted beside it, batch norm is not.

    Args:
        gamma: γ. StyleGAN2-ADA's automatic choice is 0.0002 · side² / batch.
    """

    forbids = ("batch_norm",)

    def __init__(self, gamma: NonNegative) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, comparison: Comparison) -> Tensor:
        return self.gamma / 2 * squared_norm(input_gradient(comparison, comparison.real)).mean()


class R2(R1):
    """``γ/2 · mean ‖∇D(y)‖²`` at the fakes; costs what R1 costs.

    Args:
        gamma: γ.
    """

    def forward(self, comparison: Comparison) -> Tensor:
        return self.gamma / 2 * squared_norm(input_gradient(comparison, comparison.fake)).mean()
