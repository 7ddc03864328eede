"""The penalty of the Wasserstein divergence; its optimum stands with the gradient penalties."""

from __future__ import annotations

import pytest
from critics import FAKE, POSITION, REAL, Bowl, LinearCritic, points

from ganrun.losses.base import Comparison
from ganrun.losses.terms import input_gradient
from ganrun.losses.terms.wasserstein_divergence import WassersteinDivergence


@pytest.mark.parametrize("where", ["lines", "real", "fake"])
def test_linear_critic(where):
    critic = LinearCritic([3.0, 4.0])
    penalty = WassersteinDivergence(2.0, 6.0, where)(Comparison(critic, points(), points()))
    penalty.backward()
    assert penalty.item() == pytest.approx(31250.0)  # 2 · 5⁶
    assert critic.w.grad.tolist() == pytest.approx([22500.0, 30000.0])


def test_gentle_and_flat_critics():
    term = WassersteinDivergence(2.0, 6.0, "lines")
    assert term(Comparison(LinearCritic([0.3, 0.4]), points(), points())).item() == pytest.approx(0.03125)
    flat = LinearCritic([0.0, 0.0])
    WassersteinDivergence(2.0, 2.0, "lines")(Comparison(flat, points(), points())).backward()
    assert flat.w.grad.tolist() == [0.0, 0.0]


def test_power_is_taken_per_sample(monkeypatch):
    monkeypatch.setattr(input_gradient, "one_per_sample", lambda samples: POSITION)
    penalty = WassersteinDivergence(2.0, 6.0, "lines")(Comparison(Bowl(), REAL, FAKE))
    assert penalty.item() == pytest.approx(10427.0834961)
