"""Flips and shifts, against padding and cropping."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad

from ganrun.augment.flip_shift import FlipShift
from ganrun.core.types import START


def test_every_result_is_a_crop_of_the_padded_image_or_its_mirror():
    torch.manual_seed(0)
    image = torch.rand(1, 2, 7, 6)
    changed = FlipShift(2)(image.expand(2000, -1, -1, -1), START)
    crops = [
        padded[0, :, i : i + 7, j : j + 6]
        for padded in (pad(image, (2, 2, 2, 2), "reflect"), pad(image.flip(3), (2, 2, 2, 2), "reflect"))
        for i in range(5)
        for j in range(5)
    ]
    matches = (changed[:, None] == torch.stack(crops)).flatten(2).all(2)
    assert matches.sum(1).eq(1).all()
    assert matches.sum(0).min() > 15  # 40 expected of each of the 50
    assert matches[:, 25:].any(1).double().mean().item() == pytest.approx(0.5, abs=0.04)


def test_no_pixels_is_a_flip():
    image = torch.rand(1, 1, 4, 4)
    changed = FlipShift(0)(image.expand(50, -1, -1, -1), START)
    assert {torch.equal(one, image[0]) for one in changed} == {True, False}
    assert all(torch.equal(one, image[0]) or torch.equal(one, image[0].flip(2)) for one in changed)


def test_refuses_images_that_are_too_small():
    with pytest.raises(ValueError, match="images of 9x4 cannot move by 4 pixels"):
        FlipShift(4)(torch.zeros(1, 1, 4, 9), START)


def test_can_be_differentiated_twice():
    def seeded(images):
        torch.manual_seed(3)
        return FlipShift(2)(images, START).square()

    images = torch.rand(3, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(seeded, images)
    assert torch.autograd.gradgradcheck(seeded, images)
