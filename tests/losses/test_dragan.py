"""DRAGAN: its points and its penalty."""

from __future__ import annotations

import pytest
import torch
from critics import Bowl, LinearCritic, points

from ganrun.losses.base import Comparison
from ganrun.losses.terms.dragan import Dragan, around


def test_linear_critic_whatever_the_noise():
    critic = LinearCritic([3.0, 4.0])
    penalty = Dragan(10.0, 1.0, 0.5)(Comparison(critic, points(), points()))
    penalty.backward()
    assert penalty.item() == pytest.approx(160.0)
    assert critic.w.grad.tolist() == pytest.approx([48.0, 64.0])


def test_reals_without_spread_stay_where_they_are():
    real = torch.full((4, 2), 3.0, dtype=torch.float64)
    assert torch.equal(around(real, 0.5), real)
    assert Dragan(1.0, 1.0, 0.5)(Comparison(Bowl(), real, real)).item() == pytest.approx((18**0.5 - 1) ** 2)


def test_points_lie_on_one_side_within_half_a_deviation():
    torch.manual_seed(0)
    real = torch.randn(4000, 1, 2, 2)
    moved = around(real, 0.5) - real
    bound = 0.5 * real.std(correction=0)
    assert moved.min() >= -1e-6
    assert 0.9 * bound < moved.max() <= bound + 1e-6
    assert moved.mean() == pytest.approx(bound.item() / 4, rel=0.03)  # the product of two uniform numbers


def test_one_position_per_sample_and_noise_per_element():
    torch.manual_seed(0)
    real = torch.cat([torch.zeros(500, 64), torch.ones(500, 64)])
    moved = around(real, 1.0) - real
    largest = moved.max(1).values  # near position · std: spread over samples only if there is one position for each
    assert largest.min() < 0.1 * largest.max()
    assert moved.std(1).max() > 0.1 * largest.max()
