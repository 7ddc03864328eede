"""The distance against float64 references that take another way, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg

from ganrun.metrics import fid as module
from ganrun.metrics.base import CHUNK, Moments, Unavailable, moments
from ganrun.metrics.fid import fid, frechet_distance, mean_and_covariance


def distance(first, second):
    return fid(moments([first]), moments([second]))


def reference(first, second):
    """By scipy's matrix square root of the product, as in the original code."""
    first, second = first.double().numpy(), second.double().numpy()
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    return np.square(first.mean(0) - second.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)


def sets(count, dimensions, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimensions, dimensions, generator=generator) / dimensions**0.5
    generated = torch.randn(count, dimensions, generator=generator) @ mixing + 0.3
    real = torch.randn(2 * count, dimensions, generator=generator) * 0.8 + 0.25
    return generated, real


@pytest.mark.parametrize(("count", "dimensions"), [(400, 8), (300, 64), (5000, 128)])
def test_agrees_with_scipy(count, dimensions):
    generated, real = sets(count, dimensions)
    expected = reference(generated, real)
    assert distance(generated, real) == pytest.approx(expected, rel=1e-6)
    assert distance(real, generated) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3000, 5000])
def test_agrees_with_scipy_at_inceptions_size(count):
    generated, real = sets(count, 2048)
    assert distance(generated, real[:count]) == pytest.approx(reference(generated, real[:count]), rel=1e-6)


def test_closed_form_between_gaussians():
    mean, scale = torch.tensor([3.0, 4.0]), torch.eye(2)
    assert frechet_distance(torch.zeros(2), scale, mean, 4 * scale) == pytest.approx(27)
    # Commuting covariances: Σ (√a − √b)² and the distance of the means.
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(256, 256, generator=generator, dtype=torch.float64))[0]
    a, b = torch.rand(2, 256, generator=generator, dtype=torch.float64) ** 4
    first, second = (basis * a) @ basis.T, (basis * b) @ basis.T
    means = torch.randn(2, 256, generator=generator, dtype=torch.float64)
    expected = float((means[0] - means[1]).square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    assert frechet_distance(means[0], first, means[1], second) == pytest.approx(expected, rel=1e-9)


def test_covariances_that_do_not_commute():
    first = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    second = torch.tensor([[1.0, -0.3], [-0.3, 3.0]])
    root = linalg.sqrtm((first @ second).numpy().astype(float)).real
    expected = 1 + float(first.trace() + second.trace()) - 2 * np.trace(root)
    assert frechet_distance(torch.zeros(2), first, torch.tensor([1.0, 0]), second) == pytest.approx(expected, rel=1e-6)


HAND = (
    torch.tensor([[0, 0], [1, 0], [0, 2], [2, 2], [1, 1]], dtype=torch.float64),
    torch.tensor([[1, 1], [2, 0], [3, 1], [0, 1], [2, 3]], dtype=torch.float64),
)


def test_hand_example():
    assert distance(*HAND) == pytest.approx(0.806628160746, rel=1e-9)


def without_bessel(moments):
    mean, covariance = mean_and_covariance(moments)
    return mean, covariance * (int(moments.samples) - 1) / int(moments.samples)


def uncentred(moments):
    return moments.total / moments.samples, moments.outer / moments.samples


def without_mean(moments):
    mean, covariance = mean_and_covariance(moments)
    return torch.zeros_like(mean), covariance


@pytest.mark.parametrize("mutation", [without_bessel, uncentred, without_mean])
def test_the_hand_example_finds_wrong_formulas(mutation, monkeypatch):
    monkeypatch.setattr(module, "mean_and_covariance", mutation)
    assert distance(*HAND) != pytest.approx(0.806628160746, rel=1e-3)


def test_equal_sets_are_at_distance_zero_and_never_below():
    features = torch.rand(500, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert 0 <= distance(features, features) < 1e-6
    assert distance(features + 0.5, features) == pytest.approx(32 * 0.25, rel=1e-6)


def test_features_that_are_always_zero_do_no_harm():
    # Dead rectified units make both covariances singular.
    features = torch.rand(300, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = torch.cat([features, torch.zeros(300, 4)], 1)
    assert distance(padded * 2, padded) == pytest.approx(distance(features * 2, features), rel=1e-6)
    assert distance(torch.zeros(300, 10), padded) == pytest.approx(distance(padded, torch.zeros(300, 10)), rel=1e-6)


def test_sums_are_exact_in_any_chunks_and_far_from_zero():
    features = torch.randn(2 * CHUNK + 77, 5, generator=torch.Generator().manual_seed(0)) + 1000
    mean, covariance = mean_and_covariance(moments(features.split(1000)))
    np.testing.assert_allclose(mean, features.double().mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(features.double().numpy(), rowvar=False), atol=1e-8)


def test_too_few_are_refused_by_name():
    few, many = torch.rand(8, 8), torch.rand(9, 8)
    assert distance(many, many) < 1e-6
    with pytest.raises(Unavailable, match=r"8 generated images are too few for 8 features. Raise evaluation.samples."):
        distance(few, many)
    with pytest.raises(Unavailable, match=r"8 real images are too few for 8 features. Raise evaluation.real"):
        distance(many, few)


def test_moments_are_plain():
    found = moments([torch.ones(3, 2)])
    assert isinstance(found, Moments)
    assert found.total.dtype == found.outer.dtype == torch.float64
