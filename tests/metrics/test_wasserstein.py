from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch

from ganrun.core.types import Batch
from ganrun.data.ring import Ring
from ganrun.metrics.base import Samples, Unavailable, private_randomness
from ganrun.metrics.wasserstein import Wasserstein, WassersteinFloor, matched_distance, transport


def normal(dimensions=2):
    return SimpleNamespace(fetch=lambda indices, augment: Batch((torch.randn(len(indices[0]), dimensions),)))


def score(metric, points, dataset):
    with private_randomness(0):
        return metric.evaluate(Samples(points, None, None, lambda: pytest.fail("needs no features"), dataset))


def test_four_points_in_the_plane():
    """Oracle: W1 1.457106781 by linear programming."""
    first = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    second = torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 3.0], [3.0, 3.0]])
    assert matched_distance(first, second) == pytest.approx(1.45710678119, abs=1e-10)
    assert matched_distance(first, second[[3, 0, 2, 1]]) == pytest.approx(1.45710678119, abs=1e-10)


def test_on_a_line_it_is_scipys():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(200, 1, generator=generator), 2 * torch.randn(200, 1, generator=generator) + 1
    expected = scipy.stats.wasserstein_distance(first[:, 0].numpy(), second[:, 0].numpy())
    assert matched_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_of_a_shifted_normal_distribution():
    """Oracle: N(0, 1) and N(2, 1) are 2 apart."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(800, 1, generator=generator) + shift for shift in (0.0, 2.0))
    assert matched_distance(first, second) == pytest.approx(2, abs=4 * (2 / 800) ** 0.5)


@pytest.mark.parametrize(("points", "expected", "error"), [(16, 0.785194, 0.0190), (64, 0.492401, 0.0108)])
def test_two_batches_of_one_distribution_are_apart(points, expected, error):
    """Oracle: means over 40 pairs of batches of N(0, I), and their standard errors."""
    mean, deviation = score(WassersteinFloor(points, pairs=40), torch.empty(0), normal())
    assert mean == pytest.approx(expected, abs=4 * 2**0.5 * error)
    assert deviation == pytest.approx(error * 40**0.5, rel=0.5)


def test_perfect_samples_are_at_the_floor_and_others_above():
    ring = Ring(8, 2.0, 0.02)
    with private_randomness(3):
        perfect = ring.fetch((torch.arange(600),)).real
    floor, deviation = score(WassersteinFloor(256, pairs=10), torch.empty(0), ring)
    metric = Wasserstein(256)
    assert score(metric, perfect, ring) == pytest.approx(floor, abs=4 * deviation)
    assert score(metric, perfect + torch.tensor([3.0, 0.0]), ring) == pytest.approx(3, abs=4 * deviation)
    assert score(metric, perfect * 0, ring) == pytest.approx(2, abs=0.01)  # all at the middle of the ring
    assert score(metric, perfect, ring) == score(metric, perfect, ring)  # the real points are the same every time


def test_samples_that_cannot_be_matched():
    with pytest.raises(Unavailable, match="100 samples are fewer than the 512"):
        score(Wasserstein(512), torch.zeros(100, 2), normal())
    with pytest.raises(Unavailable, match="not finite"):
        score(Wasserstein(2), torch.tensor([[0.0, float("nan")], [1.0, 1.0]]), normal())


def test_the_default_number_of_points_takes_less_than_a_second():
    begin = time.monotonic()
    score(Wasserstein(512), torch.randn(512, 2) + 4, normal())
    score(WassersteinFloor(512, 10), torch.empty(0), normal())
    assert time.monotonic() - begin < 2  # 0.5 s; the rest is for a busy machine


def test_weighted_masses_by_linear_programming():
    """Oracle: W1 1.1, plan and potential."""
    points = np.array([0.0, 1.0, 3.0])
    found = transport(abs(points[:, None] - points), np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]))
    assert found.cost == pytest.approx(1.1)
    assert found.sources == pytest.approx([0, -1, -3])
    assert found.targets == pytest.approx([0, 1, 3])
    assert found.plan.sum(1) == pytest.approx([0.5, 0.3, 0.2])
    assert found.plan.sum(0) == pytest.approx([0.2, 0.2, 0.6])


def test_primal_dual_matching_and_scipy_agree():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(12, 3)), random.normal(size=(12, 3)) + 1
    costs = np.linalg.norm(first[:, None] - second, axis=2)
    found = transport(costs, np.full(12, 1 / 12), np.full(12, 1 / 12))
    assert found.cost == pytest.approx(matched_distance(torch.from_numpy(first), torch.from_numpy(second)))
    places, (p, q) = random.normal(size=9), random.dirichlet(np.ones(9), size=2)
    found = transport(abs(places[:, None] - places), p, q)
    assert found.cost == pytest.approx(scipy.stats.wasserstein_distance(places, places, p, q))
    assert found.sources @ p + found.targets @ q == pytest.approx(found.cost)
    slack = abs(places[:, None] - places) - found.sources[:, None] - found.targets
    assert slack.min() > -1e-9
    assert slack[found.plan > 1e-9] == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="masses of 1 to masses of 2"):
        transport(costs[:2, :2], np.array([0.5, 0.5]), np.array([1.0, 1.0]))
