"""Nearest real images."""

import pytest
import torch

from ganrun.data.digits import Digits
from ganrun.metrics.base import quantise
from ganrun.sampling.neighbours import fetch, nearest, pixels


@pytest.fixture(scope="module")
def digits():
    return Digits(size=16, filter="bicubic", subset=200, subset_seed=0, flip=True)


def test_copies_are_found_at_distance_zero(digits):
    """Whatever the batches are, and though the data set mirrors what it trains on."""
    wanted = torch.tensor([5, 77, 199])
    for batch_size in (7, 1000):
        found = nearest(fetch(digits, wanted), digits, 3, pixels, batch_size, progress=False)
        assert found.indices[:, 0].tolist() == wanted.tolist()
        assert found.distances[:, 0].tolist() == [0, 0, 0]
        assert (found.distances.diff(dim=1) >= 0).all()


def test_against_all_pairs(digits):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 1, 16, 16, generator=generator) * 2 - 1
    found = nearest(images, digits, 5, pixels, batch_size=33, progress=False)
    real = quantise(fetch(digits, torch.arange(200))).double().flatten(1) / 255
    wanted = quantise(images).double().flatten(1) / 255
    distances = (wanted[:, None] - real[None]).square().sum(2).sqrt()
    expected = distances.sort(dim=1)
    assert torch.allclose(found.distances, expected.values[:, :5])
    assert torch.equal(found.indices, expected.indices[:, :5])


def test_distances_are_those_of_the_embedding(digits):
    """An embedding that sees brightness only takes an image of the same brightness for a copy."""
    upside_down = fetch(digits, torch.tensor([30])).flip(2, 3)
    found = nearest(upside_down, digits, 1, lambda images: images.double().mean((2, 3)), 50, progress=False)
    assert found.distances.item() == pytest.approx(0, abs=1e-9)
    assert nearest(upside_down, digits, 1, pixels, 50, progress=False).distances.item() > 1


def test_no_more_neighbours_than_images(digits):
    assert nearest(fetch(digits, torch.tensor([0])), digits, 999, pixels, 64, progress=False).indices.shape == (1, 200)
