"""R1 penalty (Mescheder, Geiger & Nowozin, *Which Training Methods for GANs do actually Converge?*, ICML 2018)."""

from __future__ import annotations

from torch import Tensor

from ganrun.losses.base import Comparison, Term
from ganrun.losses.terms.gradient_penalty import input_gradient


class R1(Term):
    """``gamma/2 · mean ‖∇D(x)‖²`` at real samples (equation 9).

    Args:
        gamma: weight, in the paper's units (with the ½).
    """

    forbids = ("batch_norm",)

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, comparison: Comparison) -> Tensor:
        gradient = input_gradient(comparison, comparison.real)
        return 0.5 * self.gamma * gradient.flatten(1).square().sum(1).mean()
