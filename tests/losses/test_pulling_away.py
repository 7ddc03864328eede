"""The pulling-away term at features whose angles are known."""

from __future__ import annotations

import pytest
import torch
from critics import Given

from ganrun.losses.base import Comparison
from ganrun.losses.terms.pulling_away import PullingAway


@pytest.mark.parametrize(
    ("features", "value"),
    [
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 1 / 3),
        ([[2.0, 1.0]] * 4, 1.0),
        ([[3.0, 0.0], [0.0, 0.1]], 0.0),
        ([[1.0, 0.0], [-2.0, 0.0]], 1.0),  # opposite directions count as alike
        ([[1.0, 2.0]], 0.0),
        ([[0.0, 0.0], [1.0, 0.0]], 0.0),
    ],
)
def test_value(features, value):
    fake = torch.tensor(features, dtype=torch.float64)
    assert PullingAway(1.0)(Comparison(Given(), fake, fake)).item() == pytest.approx(value)
    assert PullingAway(0.1)(Comparison(Given(), fake, fake)).item() == pytest.approx(0.1 * value)


def test_descent_pulls_fakes_apart():
    torch.manual_seed(0)
    fake = (torch.ones(4, 8, dtype=torch.float64) + 0.1 * torch.randn(4, 8, dtype=torch.float64)).requires_grad_()
    term = PullingAway(1.0)
    assert term(Comparison(Given(), fake, fake)).item() > 0.9
    optimizer = torch.optim.Adam([fake], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        term(Comparison(Given(), fake.detach(), fake)).backward()
        optimizer.step()
    assert term(Comparison(Given(), fake, fake)).item() < 1e-3
