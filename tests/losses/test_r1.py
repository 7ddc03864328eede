"""R1 and R2 on critics whose gradients are known."""

from __future__ import annotations

import pytest
from critics import FAKE, REAL, Bowl, LinearCritic, points

from ganrun.losses.base import Comparison
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.r1 import R1, R2


@pytest.mark.parametrize(("weights", "value"), [([3.0, 4.0], 125.0), ([0.3, 0.4], 1.25)])
@pytest.mark.parametrize("penalty", [R1, R2])
def test_linear_critic(penalty, weights, value):
    critic = LinearCritic(weights)
    term = penalty(10.0)(Comparison(critic, points(), points()))
    term.backward()
    assert term.item() == pytest.approx(value)
    assert critic.w.grad.tolist() == pytest.approx([10 * weight for weight in weights])  # γ w


def test_both_on_a_linear_critic_are_gamma_times_the_squared_norm():
    comparison = Comparison(LinearCritic([3.0, 4.0]), points(), points())
    assert (R1(0.1)(comparison) + R2(0.1)(comparison)).item() == pytest.approx(2.5)


def test_at_reals_and_at_fakes():
    comparison = Comparison(Bowl(), REAL, FAKE)
    assert R1(2.0)(comparison).item() == pytest.approx(10.0)
    assert R2(2.0)(comparison).item() == pytest.approx(10.0 / 3)


def test_gamma_is_twice_the_weight_of_a_zero_centred_penalty():
    comparison = Comparison(Bowl(), REAL, FAKE)
    assert R1(2.0)(comparison).item() == GradientPenalty(1.0, 0.0, "two", "real", "sample")(comparison).item()
