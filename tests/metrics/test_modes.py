from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from ganrun.core.facts import Facts
from ganrun.metrics.base import Evaluation, Samples, Unavailable
from ganrun.metrics.modes import HighQuality, Modes, ModesKL, kl_from_uniform

ANGLES = torch.arange(8) * (math.pi / 4)
RING = SimpleNamespace(
    centres=2 * torch.stack([ANGLES.cos(), ANGLES.sin()], 1), std=0.02, facts=Facts("points", (2,), (0,))
)


def score(metric, points, dataset=RING):
    return metric.evaluate(Samples(points, None, None, lambda: pytest.fail("needs no real data"), dataset))


def drawn(count, modes=8):
    generator = torch.Generator().manual_seed(0)
    centres = RING.centres[torch.randint(modes, (count,), generator=generator)]
    return centres + RING.std * torch.randn(count, 2, generator=generator)


def test_the_mixture_itself():
    points = drawn(20_000)
    assert score(Modes(3.0, "std"), points) == 8
    assert score(HighQuality(3.0, "std"), points) == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert score(HighQuality(0.2, "data"), points) == 1


def test_lost_modes_and_the_space_between():
    assert score(Modes(3.0, "std"), drawn(500, modes=3)) == 3
    assert score(Modes(3.0, "std"), RING.centres[2:3].repeat(50, 1)) == 1
    between = (RING.centres + RING.centres.roll(1, 0)) / 2
    assert score(Modes(3.0, "std"), between) == 0
    assert score(HighQuality(3.0, "std"), torch.cat([between, RING.centres])) == 0.5


def test_the_radius_is_in_the_unit_that_was_asked_for():
    points = RING.centres + torch.tensor([0.1, 0.0])
    assert score(HighQuality(3.0, "std"), points) == 0
    assert score(HighQuality(6.0, "std"), points) == 1
    assert score(HighQuality(0.2, "data"), points) == 1
    assert score(HighQuality(0.05, "data"), points) == 0


def test_points_that_are_not_finite_are_near_nothing():
    points = torch.full((10, 2), float("nan"))
    assert score(Modes(3.0, "std"), points) == 0
    assert score(HighQuality(3.0, "std"), points) == 0


def test_needs_known_centres():
    with pytest.raises(Unavailable, match="no known centres"):
        score(Modes(3.0, "std"), drawn(5), SimpleNamespace())


def test_evaluation_of_points_is_not_quantised():
    metrics = {"modes": Modes(3.0, "std"), "high_quality": HighQuality(3.0, "std")}
    scores = Evaluation(metrics, None, RING, 1000, None, 300, False, "train", "raw", None, None).run(drawn)
    assert scores["modes"] == 8
    assert scores["high_quality"] == pytest.approx(0.989, abs=0.02)


def test_divergence_of_the_modes_from_uniform():
    """Oracle: uniform over m of K modes has log(K/m), and n samples of the mixture about (K - 1) / 2n."""
    kl = ModesKL(3.0, "std")
    assert score(kl, RING.centres) == pytest.approx(0, abs=1e-12)
    assert score(kl, RING.centres[:2]) == pytest.approx(math.log(4))
    assert score(kl, RING.centres[[0, 0, 0, 1]]) == pytest.approx(0.75 * math.log(6) + 0.25 * math.log(2))
    between = (RING.centres + RING.centres.roll(1, 0)) / 2
    assert score(kl, torch.cat([between, RING.centres])) == pytest.approx(0, abs=1e-12)  # they do not count
    assert score(kl, drawn(20_000)) == pytest.approx(7 / 40_000, abs=4 * math.sqrt(2 * 7) / 40_000)
    with pytest.raises(Unavailable, match="near a mode"):
        score(kl, between)


def test_oracles_of_stacked_mnist():
    for modes, expected in ((99, 2.31263542885), (150, 1.89711998489), (500, 0.69314718056), (1000, 0.0)):
        assert kl_from_uniform(torch.arange(modes), 1000) == pytest.approx(expected, abs=1e-11)
    drawn = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
    assert kl_from_uniform(drawn, 1000) == pytest.approx(0.0192967, abs=4 * math.sqrt(2 * 999) / 52_000)
