"""Lazy regularisation (Karras et al., *StyleGAN2*, CVPR 2020, arXiv 1912.04958, appendix B)."""

from __future__ import annotations

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import Moment
from ganrun.losses.base import Comparison, Term


class Lazy(Term):
    """Another term, k times as strong in every k-th step and absent in the others.

    Adam should know: the optimizer's ``lazy_every`` slows it down accordingly.

    Args:
        term: the other term.
        every_steps: k, 16 in the paper.
    """

    def __init__(self, term: Term, every_steps: PositiveInt) -> None:
        super().__init__()
        self.term = term
        self.every_steps = every_steps

    def attach(self, network: nn.Module) -> None:
        self.term.attach(network)

    def forward(self, comparison: Comparison) -> Tensor | None:
        if not comparison.moment.decide(self.is_due):
            return None
        value = self.term(comparison)
        return None if value is None else self.every_steps * value

    def is_due(self, moment: Moment) -> bool:
        """Whether the term is applied in this step."""
        return moment.step % self.every_steps == 0
