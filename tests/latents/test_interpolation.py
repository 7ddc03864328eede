"""Ways between latents."""

import math

import pytest
import torch

from ganrun.latents.interpolation import interpolate


@pytest.fixture
def ends():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 64, generator=generator), torch.randn(5, 64, generator=generator)


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_a_way_begins_and_ends_at_its_ends(ends, path):
    way = interpolate(*ends, 7, path)
    assert way.shape == (5, 7, 64)
    assert torch.allclose(way[:, 0], ends[0])
    assert torch.allclose(way[:, -1], ends[1])


def test_linear_steps_are_equal(ends):
    way = interpolate(*ends, 5, "linear")
    assert torch.allclose(way[:, 1], 0.75 * ends[0] + 0.25 * ends[1])
    assert torch.allclose(way.diff(dim=1), way.diff(dim=1)[:, :1], atol=1e-6)


def test_spherical_by_hand():
    """A quarter circle in thirds: 0, 30, 60 and 90 degrees, of radius 2."""
    way = interpolate(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), 4, "spherical")
    angles = torch.tensor([0, 30, 60, 90]) * math.pi / 180
    assert torch.allclose(way[0], 2 * torch.stack([angles.cos(), angles.sin()], dim=1), atol=1e-6)


def test_only_the_arc_keeps_the_length_of_normal_latents(ends):
    middles = {path: interpolate(*ends, 3, path)[:, 1].norm(dim=1) for path in ("linear", "spherical")}
    typical = (ends[0].norm(dim=1) + ends[1].norm(dim=1)) / 2
    assert ((middles["spherical"] / typical - 1).abs() < 0.1).all()
    assert (middles["linear"] < 0.85 * typical).all()


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0, 0.0])
def test_ends_without_an_arc_are_joined_by_a_straight_line(ends, factor):
    start = ends[0]
    assert torch.allclose(
        interpolate(start, factor * start, 5, "spherical"), interpolate(start, factor * start, 5, "linear"), atol=1e-5
    )


def test_almost_parallel_ends_stay_accurate(ends):
    start = ends[0].double()
    end = start + 1e-3 * ends[1].double()
    middle = interpolate(start, end, 3, "spherical")[:, 1]
    assert torch.allclose(middle, (start + end) / 2, atol=1e-6)


def test_a_way_has_two_points_at_least(ends):
    with pytest.raises(ValueError, match="at least its two ends"):
        interpolate(*ends, 1, "linear")
