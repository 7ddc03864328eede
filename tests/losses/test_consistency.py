"""Consistency regularisation of discriminators whose scores are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.core.types import DiscriminatorOutput, Moment
from ganrun.losses.base import Comparison
from ganrun.losses.terms.consistency import Consistency


class Linear(nn.Module):
    """``D(x) = w·x``, and ``2 w·x`` on a second scale."""

    def __init__(self, scales: int = 1) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([3.0, -1.0], dtype=torch.float64))
        self.scales = scales

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=tuple((scale + 1) * samples @ self.w for scale in range(self.scales)))


class Negative(nn.Module):
    def forward(self, samples, moment):
        self.moment = moment
        return -samples


REAL = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64)  # w·x = 1, 1
FAKE = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)  # w·y = 3, -2


def test_value_and_gradient_of_both_branches():
    critic = Linear()
    term = Consistency(10.0, 0.5, Negative())
    value = term(Comparison(critic, REAL, FAKE, moment=Moment(5, 0.25)))
    assert value.item() == pytest.approx(10 * 4 * 1 + 0.5 * 4 * (9 + 4) / 2)
    assert term.transform.moment == Moment(5, 0.25)
    value.backward()
    real, fake = (8 * ((x @ critic.w)[:, None] * x).mean(0).detach() for x in (REAL, FAKE))
    torch.testing.assert_close(critic.w.grad, 10 * real + 0.5 * fake)


@pytest.mark.parametrize(("weight", "fake_weight", "judged"), [(1.0, 0.0, 1), (1.0, 1.0, 2)])
def test_a_weight_of_zero_costs_no_pass(weight, fake_weight, judged):
    calls = []
    comparison = Comparison(Linear(), REAL, FAKE)
    _ = comparison.real_output
    judge = comparison.judge
    comparison.judge = lambda samples: calls.append(samples) or judge(samples)  # type: ignore[method-assign]
    Consistency(weight, fake_weight, Negative())(comparison)
    assert len(calls) == judged


def test_scales_are_averaged():
    value = Consistency(1.0, 0.0, Negative())(Comparison(Linear(2), REAL, FAKE))
    assert value.item() == pytest.approx((4 + 16) / 2)


def test_nothing_to_say_where_the_transform_does_nothing():
    class Same(nn.Module):
        def forward(self, samples, moment):
            return samples

    assert Consistency(10.0, 10.0, Same())(Comparison(Linear(), REAL, FAKE)).item() == 0


def test_scores_are_those_of_the_whole_judge():
    """Augmentations and normalised scores apply to both branches."""

    def judge(samples, condition):
        return DiscriminatorOutput(scores=(samples.sum(1) ** 2 + samples[:, 0],))

    value = Consistency(1.0, 0.0, Negative())(Comparison(Linear(), REAL, FAKE, judge=judge))
    assert value.item() == pytest.approx(2.0)  # (2 x₀)²: 4 and 0
