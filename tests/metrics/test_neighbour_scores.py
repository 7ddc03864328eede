"""Precision, recall, density and coverage against hand examples, direct loops, torch-fidelity and theory."""

from __future__ import annotations

import pytest
import torch

from ganrun.metrics import distances
from ganrun.metrics.base import Features, Reference, Samples, Unavailable, moments
from ganrun.metrics.density_coverage import Coverage, Density, density_coverage
from ganrun.metrics.distances import nearest, squared_distances, squared_radii
from ganrun.metrics.precision_recall import Precision, Recall, precision_recall

REAL = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
GENERATED = torch.tensor([[0.4], [1.2], [2.6], [6.0], [20.0]])


@pytest.fixture(params=[3, 2048])
def tile(request, monkeypatch):
    """Small tiles take the path of large sets."""
    monkeypatch.setattr(distances, "TILE", request.param)


def gaussians(real=300, generated=260, dimensions=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(real, dimensions, generator=generator), 0.7 + 0.8 * torch.randn(
        generated, dimensions, generator=generator
    )


def test_hand_example(tile):
    assert squared_radii(REAL, 1).sqrt().tolist() == pytest.approx([1, 1, 1, 1, 7])
    assert squared_radii(GENERATED, 2).sqrt().tolist() == pytest.approx([2.2, 1.4, 2.2, 4.8, 17.4], rel=1e-6)
    assert precision_recall(REAL, GENERATED, 1) == (0.8, 1.0)
    assert precision_recall(GENERATED, REAL, 1) == (1.0, 0.8)  # swapped sets, swapped scores
    assert density_coverage(REAL, GENERATED, 1) == pytest.approx((1.4, 1.0))
    assert density_coverage(REAL, GENERATED, 2) == pytest.approx((1.0, 1.0))


def test_identical_sets(tile):
    assert precision_recall(REAL, REAL, 2) == (1.0, 1.0)
    assert density_coverage(REAL, REAL, 2) == pytest.approx((0.8, 1.0))  # with <=: 1.5
    real, _ = gaussians(90)
    assert precision_recall(real, real, 3) == (1.0, 1.0)


def test_collapse_costs_recall_and_outliers_cost_precision():
    real, _ = gaussians()
    collapsed = real[:1] + 1e-3 * torch.randn(100, 6, generator=torch.Generator().manual_seed(1))
    precision, recall = precision_recall(real, collapsed, 3)
    assert precision == 1
    assert recall < 0.02
    _, coverage = density_coverage(real, collapsed, 5)
    assert coverage < 0.15
    far = torch.cat([real, real + 100])
    assert precision_recall(real, far, 3) == (0.5, 1.0)


def test_against_a_direct_computation(tile):
    real, generated = (part.double() for part in gaussians(90, 70))
    cross = (generated[:, None] - real).square().sum(2).sqrt()

    def radii(points, k):
        return (points[:, None] - points).square().sum(2).sqrt().sort(1).values[:, k]

    precision = (cross <= radii(real, 3)).any(1).double().mean()
    recall = (cross <= radii(generated, 3)[:, None]).any(0).double().mean()
    assert precision_recall(real, generated, 3) == pytest.approx((float(precision), float(recall)), abs=1e-9)
    within = cross < radii(real, 5)
    expected = within.sum().item() / (5 * len(generated)), float(within.any(0).double().mean())
    assert density_coverage(real, generated, 5) == pytest.approx(expected, abs=1e-9)
    assert len({round(value, 3) for value in (float(precision), float(recall), *expected)}) == 4  # all discriminate


def test_against_torch_fidelity():
    metric = pytest.importorskip("torch_fidelity.metric_prc")
    real, generated = gaussians(1500, 1400, 64)
    found = metric.calculate_precision_recall_full(generated, real, neighborhood=3)
    assert precision_recall(real, generated, 3) == pytest.approx(found, abs=1e-4)


def test_coverage_of_equal_distributions_is_what_theory_says():
    generator = torch.Generator().manual_seed(3)
    real, generated = torch.randn(2, 2000, 8, generator=generator)
    density, coverage = density_coverage(real, generated, 5)
    assert coverage == pytest.approx(0.968867, abs=0.01)
    assert density == pytest.approx(1, abs=0.1)


def test_distances_far_from_the_origin_and_of_copies(tile):
    points = 1e4 + torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = torch.zeros(7, 7, dtype=torch.float64)
    for rows, columns, distance in squared_distances(points, points):
        found[rows, columns] = distance
    torch.testing.assert_close(found, (points[:, None] - points).square().sum(2), atol=1e-6, rtol=1e-9)
    assert (nearest(points, points, 2)[:, 0] < 1e-6).all()


def samples(real=REAL, generated=GENERATED):
    reference = Reference(moments([real]), real, None)
    return Samples(torch.empty(0), Features(generated, None), None, lambda: reference, dataset=None)


def test_every_score_has_its_own_metric():
    given = samples()
    assert Precision(1, 100).evaluate(given) == 0.8
    assert Recall(1, 100).evaluate(given) == 1.0
    assert Density(1, 100).evaluate(given) == pytest.approx(1.4)
    assert Coverage(1, 100).evaluate(given) == 1.0
    swapped = samples(GENERATED, REAL)
    assert (Precision(1, 100).evaluate(swapped), Recall(1, 100).evaluate(swapped)) == (1.0, 0.8)


def test_at_most_so_many_images_are_used():
    assert Precision(1, 4).evaluate(samples()) == precision_recall(REAL[:4], GENERATED[:4], 1)[0]


def test_too_few_are_refused_by_name():
    with pytest.raises(Unavailable, match=r"5 generated and 5 real images are too few for 5 neighbours"):
        Recall(5, 100).evaluate(samples())


def test_both_scores_come_from_one_computation(monkeypatch):
    given = samples()
    Precision(1, 100).evaluate(given)
    monkeypatch.setattr(distances, "squared_distances", lambda *_: pytest.fail("computed again"))
    assert Recall(1, 100).evaluate(given) == 1.0
