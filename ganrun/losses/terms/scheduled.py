"""A term whose weight changes with the progress of training."""

from __future__ import annotations

from torch import Tensor, nn

from ganrun.core.schedules import Schedule
from ganrun.losses.base import Comparison, Term


class Scheduled(Term):
    """Another term times a schedule, such as R3GAN's falling γ (Huang et al., NeurIPS 2024, arXiv 2501.05441).

    Args:
        term: the other term.
        schedule: factor as a function of the stage's progress.
    """

    def __init__(self, term: Term, schedule: Schedule) -> None:
        super().__init__()
        self.term = term
        self.schedule = schedule

    def attach(self, network: nn.Module) -> None:
        self.term.attach(network)

    def forward(self, comparison: Comparison) -> Tensor | None:
        value = self.term(comparison)
        return None if value is None else comparison.moment.value(self.schedule) * value
