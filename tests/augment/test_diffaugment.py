"""Differentiable augmentation: its formulas, what it keeps, and where it puts zeros."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad

from ganrun.augment import diffaugment
from ganrun.augment.diffaugment import DiffAugment
from ganrun.core.types import START

ALL = ["color", "translation", "cutout"]


def pictures(count: int = 4, channels: int = 3, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.rand(count, channels, height, width, dtype=torch.float64) * 2 - 1


def color_with(monkeypatch, images, brightness=0.5, saturation=0.5, contrast=0.5):
    """``color`` with chosen uniform numbers; 0.5 changes nothing."""
    draws = iter([brightness, saturation, contrast])
    monkeypatch.setattr(diffaugment, "_uniform", lambda images: torch.full((len(images), 1, 1, 1), next(draws)))
    return DiffAugment(["color"])(images, START)


def test_empty_policy_is_the_identity():
    images = pictures()
    assert torch.equal(DiffAugment([])(images, START), images)


def test_brightness_shifts_every_pixel(monkeypatch):
    images = pictures()
    torch.testing.assert_close(color_with(monkeypatch, images, brightness=0.8), images + 0.3, atol=1e-7, rtol=0)


def test_saturation_scales_the_distance_from_each_pixels_mean(monkeypatch):
    images = pictures()
    changed = color_with(monkeypatch, images, saturation=0.9)
    grey = images.mean(1, keepdim=True)
    torch.testing.assert_close(changed.mean(1, keepdim=True), grey)
    torch.testing.assert_close(changed - grey, 1.8 * (images - grey), atol=1e-6, rtol=0)


def test_saturation_leaves_grey_images_alone(monkeypatch):
    images = pictures(channels=1)
    assert torch.equal(color_with(monkeypatch, images, saturation=0.1), color_with(monkeypatch, images))


def test_contrast_scales_the_distance_from_the_images_mean(monkeypatch):
    images = pictures()
    changed = color_with(monkeypatch, images, contrast=0.1)
    middle = images.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(changed.mean((1, 2, 3), keepdim=True), middle)
    torch.testing.assert_close(changed - middle, 0.6 * (images - middle), atol=1e-6, rtol=0)


def test_numbers_of_color_are_uniform():
    torch.manual_seed(0)
    black = torch.full((4000, 3, 2, 2), -1.0)
    moved = (DiffAugment(["color"])(black, START) + 1).mean((1, 2, 3))  # flat images: only brightness acts
    assert -0.5 <= moved.min() < -0.49
    assert 0.49 < moved.max() <= 0.5
    assert moved.var().item() == pytest.approx(1 / 12, rel=0.05)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 20)])
def test_translation_of_a_constant_image_leaves_zeros_only_at_the_border(height, width):
    torch.manual_seed(0)
    moved = DiffAugment(["translation"])(torch.ones(2000, 1, height, width), START)
    down, right = int(height / 8 + 0.5), int(width / 8 + 0.5)
    assert moved[:, :, down : height - down, right : width - right].eq(1).all()
    kept = moved[:, 0].sum(2).amax(1), moved[:, 0].sum(1).amax(1)
    assert set(kept[0].tolist()) == set(range(width - right, width + 1))
    assert set(kept[1].tolist()) == set(range(height - down, height + 1))


def test_translation_is_a_shift_by_whole_pixels():
    torch.manual_seed(0)
    image = pictures(1, height=16, width=16)
    moved = DiffAugment(["translation"])(image.expand(500, -1, -1, -1), START)
    padded = pad(image[0], (2, 2, 2, 2))
    shifts = torch.stack([padded[:, i : i + 16, j : j + 16] for i in range(5) for j in range(5)])
    matches = (moved[:, None] == shifts).flatten(2).all(2)
    assert matches.sum(1).eq(1).all()
    assert matches.sum(0).min() > 5  # 20 expected of each of the 25


@pytest.mark.parametrize("side", [8, 10, 11])
def test_cutout_is_a_square_with_a_uniform_centre(side):
    torch.manual_seed(0)
    cut = DiffAugment(["cutout"])(torch.ones(3000, 2, side, side), START) == 0
    assert torch.equal(cut[:, 0], cut[:, 1])
    rows, columns = cut[:, 0].any(2), cut[:, 0].any(1)
    assert torch.equal(cut[:, 0], rows[:, :, None] & columns[:, None, :])
    length = int(side / 2 + 0.5)
    assert rows.sum(1).max() == length
    positions = side + 1 - length % 2  # of the centre, each equally likely; whole squares at all but `length` of them
    assert (rows.sum(1) == length).double().mean().item() == pytest.approx(1 - 2 * (length // 2) / positions, abs=0.03)
    torch.testing.assert_close(rows.double().mean(0), rows.double().mean(0).flip(0), atol=0.05, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_memory_and_independence(channels):
    torch.manual_seed(0)
    image = pictures(1, channels, 12, 10).float().contiguous(memory_format=torch.channels_last)
    augment = DiffAugment(ALL)
    several = augment(image.expand(6, -1, -1, -1), START)
    assert several.shape == (6, channels, 12, 10)
    assert several.is_contiguous(memory_format=torch.channels_last)
    assert len({tuple(one.flatten().tolist()) for one in several}) == 6

    batch, other = pictures(4, channels), pictures(4, channels)
    other[0] = batch[0]
    torch.manual_seed(1)
    first = augment(batch, START)
    torch.manual_seed(1)
    assert torch.equal(augment(batch, START), first)
    torch.manual_seed(1)
    assert torch.equal(augment(other, START)[0], first[0])


def test_can_be_differentiated_twice():
    images = pictures(2, 3, 4, 5).requires_grad_()

    def seeded(images):
        torch.manual_seed(3)
        return DiffAugment(ALL)(images, START).square()

    assert torch.autograd.gradcheck(seeded, images)
    assert torch.autograd.gradgradcheck(seeded, images)
