from __future__ import annotations

import numpy as np
import pytest
import torch

from ganrun.metrics.base import Unavailable
from ganrun.metrics.kid import kid

X = torch.tensor([[0, 0], [1, 0], [0, 2], [2, 2], [1, 1]], dtype=torch.float64)
Y = torch.tensor([[1, 1], [2, 0], [3, 1], [0, 1], [2, 3]], dtype=torch.float64)


def test_hand_example_is_unbiased():
    assert kid(X, Y, subsets=1, subset_size=5).mean == pytest.approx(-6.08)  # biased: 18.805
    assert kid(X, X, subsets=1, subset_size=5).mean == pytest.approx(-10.015)  # biased: 0


def test_against_torch_fidelity():
    metric = pytest.importorskip("torch_fidelity.metric_kid")
    generator = torch.Generator().manual_seed(0)
    real = torch.rand(400, 64, generator=generator)
    generated = torch.rand(400, 64, generator=generator) ** 1.2
    x, y = real.double().numpy(), generated.double().numpy()
    settings = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1.0}
    kernels = [metric.kernel_poly(a, b, **settings) for a, b in ((x, x), (x, y), (y, y))]
    assert kid(real, generated, 1, 400).mean == pytest.approx(metric.mmd2(*kernels), rel=1e-6)


def test_mean_and_deviation_over_subsets_of_the_right_size():
    torch.manual_seed(0)
    found = kid(X, Y, subsets=500, subset_size=2)
    direct = []
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    for i, j in pairs:
        for k, m in pairs:
            a, b = X[[i, j]].numpy(), Y[[k, m]].numpy()
            kernel = lambda p, q: (p @ q / 2 + 1) ** 3  # noqa: E731
            cross = sum(kernel(p, q) for p in a for q in b)
            direct.append(kernel(a[0], a[1]) + kernel(b[0], b[1]) - cross / 2)
    assert found.mean == pytest.approx(np.mean(direct), abs=4 * np.std(direct) / 500**0.5)
    assert found.std == pytest.approx(np.std(direct), rel=0.15)
    assert np.mean(direct) == pytest.approx(-6.08)


def test_population_value():
    generator = torch.Generator().manual_seed(0)
    real, generated = torch.randn(2, 20000, 1, generator=generator, dtype=torch.float64)
    found = kid(real, generated + 0.5, subsets=60, subset_size=1000)
    assert found.mean == pytest.approx(3.578125, abs=3 * found.std / 60**0.5)


def test_too_few_are_refused_by_name():
    with pytest.raises(Unavailable, match=r"5 generated images are too few for subsets of 6. Raise evaluation.samples"):
        kid(torch.rand(9, 2), Y, 1, 6)
    with pytest.raises(Unavailable, match=r"5 real images are too few for subsets of 6. Raise evaluation.real"):
        kid(X, torch.rand(9, 2), 1, 6)
