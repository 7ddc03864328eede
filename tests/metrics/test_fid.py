from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from ganrun.metrics.base import Moments
from ganrun.metrics.fid import frechet_distance


def moments(features):
    features = features.double()
    return Moments(torch.tensor(len(features)), features.sum(0), features.T @ features)


def reference(first, second):
    first, second = first.double().numpy(), second.double().numpy()
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    return np.square(first.mean(0) - second.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)


@pytest.mark.parametrize(("count", "dimensions"), [(400, 8), (300, 64)])
def test_agrees_with_scipy(count, dimensions):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(dimensions, dimensions, generator=generator)
    generated = torch.randn(count, dimensions, generator=generator) @ mixing + 3
    real = torch.randn(2 * count, dimensions, generator=generator) * 2 + 2.5
    distance = frechet_distance(generated.double(), moments(real))
    assert distance == pytest.approx(reference(generated, real), rel=1e-6)


def test_hand_example_with_unbiased_covariances():
    generated = torch.tensor([[0, 0], [1, 0], [0, 2], [2, 2], [1, 1]], dtype=torch.float64)
    real = torch.tensor([[1, 1], [2, 0], [3, 1], [0, 1], [2, 3]], dtype=torch.float64)
    assert frechet_distance(generated, moments(real)) == pytest.approx(0.806628160746, rel=1e-9)


def test_equal_sets_are_at_distance_zero_and_never_below():
    features = torch.rand(500, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert 0 <= frechet_distance(features, moments(features)) < 1e-6
    shifted = features + 0.5
    assert frechet_distance(shifted, moments(features)) == pytest.approx(32 * 0.25, rel=1e-6)


def test_features_that_are_always_zero_do_no_harm():
    # Dead rectified units make both covariances singular.
    features = torch.rand(300, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = torch.cat([features, torch.zeros(300, 4)], 1)
    whole, part = frechet_distance(padded * 2, moments(padded)), frechet_distance(features * 2, moments(features))
    assert whole == pytest.approx(part, rel=1e-6)
