"""Losses of given scores, and of the two distributions on three points that the reference numbers are for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import AdversarialLoss, Comparison


class Scores(nn.Module):
    """A discriminator whose scores are the samples themselves."""

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(samples,))


class Table(nn.Module):
    """A discriminator with one free score per point."""

    def __init__(self, points: int = 3) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.zeros(points, dtype=torch.float64))

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(self.score[samples],))


Sides = Callable[..., tuple[Tensor, Tensor]]


def sides(loss: AdversarialLoss, real: Tensor, fake: Tensor, discriminator: nn.Module | None = None):
    discriminator = discriminator or Scores()
    return tuple(
        torch.stack(list(terms(Comparison(discriminator, real, fake)).values())).sum()
        for terms in (loss.discriminator_terms, loss.generator_terms)
    )


@pytest.fixture(name="sides")
def _sides() -> Sides:
    """``sides(loss, real, fake)``: the discriminator's and the generator's loss, by default of scores."""
    return sides


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Samples of p = (.5, .3, .2) and q = (.2, .2, .6) in which every pair of points is as frequent as it should be."""
    real = torch.tensor([0] * 5 + [1] * 3 + [2] * 2).repeat_interleave(10)
    fake = torch.tensor([0] * 2 + [1] * 2 + [2] * 6).repeat(10)
    return real, fake


@pytest.fixture
def best(pair) -> Callable[[AdversarialLoss], tuple[Tensor, float, float]]:
    """``best(loss)``: the free scores that minimise the discriminator's loss on the pair, and both losses there."""

    def search(loss: AdversarialLoss) -> tuple[Tensor, float, float]:
        table = Table()
        optimizer = torch.optim.LBFGS(
            table.parameters(),
            max_iter=500,
            tolerance_grad=1e-13,
            tolerance_change=1e-16,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            value, _ = sides(loss, *pair, table)
            value.backward()
            return value

        optimizer.step(closure)
        with torch.no_grad():
            discriminator, generator = sides(loss, *pair, table)
        return table.score.detach(), discriminator.item(), generator.item()

    return search
