from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from ganrun.data.ring import Ring
from ganrun.metrics import distances
from ganrun.metrics.base import Samples, Spread, Unavailable
from ganrun.metrics.kde import KDE, log_likelihood

CENTRES = torch.tensor([[0.0, 0], [1, 0], [0, 2]])
POINTS = torch.tensor([[0.5, 0.5], [2, 2]])


def test_hand_example():
    found = log_likelihood(POINTS, CENTRES, [0.5, 1.0])
    assert found[0].tolist() == pytest.approx([-1.84793167252, -9.42297155206])
    assert found.mean(1).tolist() == pytest.approx([-5.63545161229, -3.35301349323])
    assert float(log_likelihood(torch.ones(1, 784), torch.ones(1, 784), [0.2])) == pytest.approx(541.351513316)


@pytest.mark.parametrize("tile", [7, 2048])
def test_against_scikit_learn(tile, monkeypatch):
    from sklearn.neighbors import KernelDensity

    monkeypatch.setattr(distances, "TILE", tile)
    centres, points = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for bandwidth in (0.1, 0.5, 2.0):
        expected = KernelDensity(bandwidth=bandwidth).fit(centres.numpy()).score_samples(points.numpy())
        np.testing.assert_allclose(log_likelihood(points, centres, [bandwidth])[0], expected, rtol=1e-6)


def test_in_high_dimension_against_brute_force():
    # scikit-learn itself is wrong here.
    centres, points = torch.rand(2, 40, 784, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exponents = -(points[:, None] - centres).square().sum(2) / (2 * 0.2**2)
    expected = exponents.logsumexp(1) - np.log(40) - 392 * np.log(2 * np.pi * 0.04)
    np.testing.assert_allclose(log_likelihood(points, centres, [0.2])[0], expected, rtol=1e-12)


def evaluate(generated, dataset, **changes):
    settings = {"bandwidths": [0.01, 0.03, 0.1, 0.3], "validation": 200, "test": 300, "unit": "nats"} | changes
    return KDE(**settings).evaluate(Samples(generated, None, None, lambda: pytest.fail("not needed"), dataset))


def test_the_mixture_scores_near_its_own_entropy_and_better_than_others():
    ring = Ring(8, 2.0, 0.1)
    drawn = ring.examples(4000).real[1000:]
    own = evaluate(drawn, ring)
    assert isinstance(own, Spread)
    entropy = np.log(8) + np.log(2 * np.pi * np.e * 0.01)
    assert own.mean == pytest.approx(-entropy, abs=0.15)
    assert evaluate(drawn[drawn[:, 0] > 0], ring).mean < own.mean - 10  # half of the modes are lost
    halves = evaluate(drawn, ring, unit="nats_per_dimension")
    assert halves.mean == pytest.approx(own.mean / 2)
    assert halves.std == pytest.approx(own.std / 2)


def test_the_bandwidth_is_chosen_on_other_points_than_are_scored():
    class Split:
        facts = Ring(8, 2.0, 0.1).facts

        def examples(self, count):
            from ganrun.core.types import Batch

            # the validation part sits at distance 0.3 from the centre, the test part right on it
            return Batch((torch.cat([torch.full((200, 2), 0.3 / 2**0.5), torch.zeros(count - 200, 2)]),))

    found = evaluate(torch.zeros(10, 2), Split(), bandwidths=[0.01, 0.2, 1.0])
    assert found.mean == pytest.approx(-np.log(2 * np.pi * 0.04))
    assert found.std == pytest.approx(0, abs=1e-9)


def test_a_bandwidth_at_the_end_of_the_range_is_said(caplog):
    ring = Ring(8, 2.0, 0.1)
    with caplog.at_level(logging.WARNING):
        evaluate(ring.examples(1000).real, ring, bandwidths=[1.0, 2.0])
    assert "the best bandwidth, 1, is at the end of the range" in caplog.text


def test_too_little_data_is_refused():
    from ganrun.data.digits import Digits

    digits = Digits(size=8, filter="bicubic", subset=None, subset_seed=0, flip=False)
    with pytest.raises(Unavailable, match="1797 real samples are too few to set 2000 apart"):
        evaluate(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), digits, validation=2000)
