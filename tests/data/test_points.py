import math

import torch

from ganrun.data.grid import Grid
from ganrun.data.ring import Ring


def indices(count):
    return (torch.zeros(count, dtype=torch.int64),)


def test_ring_has_the_density_it_says():
    torch.manual_seed(0)
    ring = Ring(modes=8, radius=2.0, std=0.02)
    assert ring.facts.shape == (2,)
    assert ring.facts.count == (0,)
    assert ring.facts.provides == {"points"}
    assert torch.allclose(ring.centres.norm(dim=1), torch.full((8,), 2.0))
    distances = torch.cdist(ring.centres, ring.centres) + 10 * torch.eye(8)
    assert torch.allclose(distances.min(dim=1).values, torch.full((8,), 4 * math.sin(math.pi / 8)), atol=1e-5)
    points = ring.fetch(indices(20_000)).real
    assert points.dtype == torch.float32
    offset, nearest = torch.cdist(points, ring.centres).min(dim=1)
    assert (torch.bincount(nearest, minlength=8) / 20_000 - 1 / 8).abs().max() < 0.015
    assert abs((offset**2).mean().sqrt() / math.sqrt(2) - 0.02) < 0.0005


def test_grid_centres():
    grid = Grid(side=5, spacing=2.0, std=0.05)
    expected = {(x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)}
    assert {tuple(centre) for centre in grid.centres.tolist()} == expected
    assert grid.std == 0.05


def test_points_are_fresh_but_follow_the_seed():
    ring = Ring(modes=8, radius=2.0, std=0.02)
    torch.manual_seed(1)
    first, second = ring.fetch(indices(16)).real, ring.fetch(indices(16)).real
    torch.manual_seed(1)
    assert torch.equal(ring.fetch(indices(16)).real, first)
    assert not torch.equal(first, second)
    state = torch.get_rng_state()
    assert torch.equal(ring.examples(16).real, ring.examples(16).real)
    assert torch.equal(torch.get_rng_state(), state)  # looking at examples does not change the training run


def test_fingerprints_tell_mixtures_apart():
    prints = {
        Ring(8, 2.0, 0.02).facts.fingerprint,
        Ring(8, 2.0, 0.03).facts.fingerprint,
        Ring(7, 2.0, 0.02).facts.fingerprint,
    }
    assert len(prints) == 3
