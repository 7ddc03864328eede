from __future__ import annotations

import math

import pytest
import torch

from ganrun.demos import parallel_lines
from ganrun.demos.base import MMGAN, NSGAN, WGAN
from ganrun.demos.parallel_lines import LAMBDA, batch_distances, overestimate, truth, watch
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.metrics.wasserstein import matched_distance


@pytest.mark.parametrize(
    ("theta", "expected"),
    [
        (-1.0, (0.69314718056, math.inf, 1.0, 1.0)),
        (-0.5, (0.69314718056, math.inf, 1.0, 0.5)),
        (0.0, (0.0, 0.0, 0.0, 0.0)),
        (0.25, (0.69314718056, math.inf, 1.0, 0.25)),
    ],
)
def test_closed_forms(theta, expected):
    assert truth(theta) == pytest.approx(expected)


def test_batches():
    torch.manual_seed(0)
    same, other = batch_distances(-0.7, 128)
    assert same == pytest.approx(0.7, abs=1e-6)
    assert 0.7 < other < 0.72
    same, other = batch_distances(0.0, 128)
    assert same == 0
    assert other > 0.005  # never compare with 0
    heights = torch.linspace(0, 1, 30)
    lines = [torch.stack([torch.full((30,), theta), heights], 1) for theta in (0.0, 0.7)]
    assert matched_distance(*lines) == pytest.approx(0.7, abs=1e-6)  # oracle: the linear program on a lattice


def test_overestimate_of_the_penalised_critic():
    """It maximises aθ - λ(a - 1)² over its slope a."""
    slopes = torch.linspace(0.5, 1.5, 100_001, dtype=torch.float64)
    for theta in (0.2, 1.0):
        best = slopes[(slopes * theta - LAMBDA * (slopes - 1) ** 2).argmax()]
        assert overestimate(theta) == overestimate(-theta) == pytest.approx(float(best) * theta, abs=1e-5)
    assert overestimate(1.0) == pytest.approx(1.05)


@pytest.mark.parametrize("theta", [-0.8, 0.5])
def test_trained_discriminators(theta):
    early, *_, late = watch(NSGAN, None, (MMGAN, NSGAN), theta)
    assert early.bound < late.bound
    assert math.log(2) - 0.02 < late.bound <= math.log(2) + 1e-6
    minimax, nonsaturating = (pull * math.copysign(1, -theta) for pull in late.pulls)  # towards 0 is positive
    assert 0 <= minimax < 0.01
    assert nonsaturating > 5
    critic = watch(WGAN, GradientPenalty(LAMBDA, 1.0, "two", "lines", "sample"), (WGAN,), theta)[-1]
    assert critic.bound == pytest.approx(overestimate(theta), abs=0.07)
    assert critic.pulls[0] * math.copysign(1, -theta) == pytest.approx(1, abs=0.12)


def test_nothing_can_be_told_from_lines_that_coincide():
    look = watch(NSGAN, None, (MMGAN,), 0.0)[-1]
    assert look.bound == pytest.approx(0, abs=0.005)


def test_demonstration(monkeypatch):
    monkeypatch.setattr(parallel_lines, "STAGES", (1, 2, 3))
    monkeypatch.setattr(parallel_lines, "THETAS", (-1.0, 0.0, 0.5))
    shown = parallel_lines.demonstrate()
    assert [row[:5] for row in shown.rows] == [
        ("-1", "0.693", "inf", "1.000", "1.000"),
        ("0", "0.000", "0.000", "0.000", "0.000"),
        ("0.5", "0.693", "inf", "1.000", "0.500"),
    ]
    assert {len(row) for row in shown.rows} == {len(shown.header)}
    assert shown.picture.std() > 10
