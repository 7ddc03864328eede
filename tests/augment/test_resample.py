"""Resampling against grid_sample, its adjoint, and both derivatives."""

from __future__ import annotations

import torch
from torch.nn.functional import grid_sample

from ganrun.augment.affine import compose, grid, rotation, scaling, translation
from ganrun.augment.resample import resample


def somewhere(count: int = 2, height: int = 4, width: int = 5) -> torch.Tensor:
    return torch.rand(count, height, width, 2, dtype=torch.float64) * 3 - 1.5  # beyond the border, too


def test_equals_grid_sample():
    images, positions = torch.randn(2, 3, 6, 7, dtype=torch.float64), somewhere()
    expected = grid_sample(images, positions, mode="bicubic", padding_mode="reflection", align_corners=False)
    assert torch.equal(resample(images, positions), expected)


def test_first_gradient_is_that_of_grid_sample():
    images, positions = torch.randn(2, 3, 6, 7, dtype=torch.float64, requires_grad=True), somewhere()
    weights = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    (own,) = torch.autograd.grad((resample(images, positions) * weights).sum(), images)
    expected = grid_sample(images, positions, mode="bicubic", padding_mode="reflection", align_corners=False)
    torch.testing.assert_close(own, torch.autograd.grad((expected * weights).sum(), images)[0])


def test_can_be_differentiated_twice_and_more():
    positions = somewhere()
    images = torch.randn(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda images: resample(images, positions), images)
    assert torch.autograd.gradgradcheck(lambda images: resample(images, positions).square(), images)

    def penalty(images):
        (gradient,) = torch.autograd.grad(resample(images, positions).pow(3).sum(), images, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, images)
    assert torch.autograd.gradgradcheck(penalty, images)


def test_matrices_move_pixels_as_they_say():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    one = torch.ones(1)

    def moved(inverse: torch.Tensor) -> torch.Tensor:
        return resample(image, grid(inverse, 4, 4))

    def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)

    close(moved(scaling(one, one)), image)
    close(moved(scaling(-one, one)), image.flip(3))
    close(moved(scaling(one, -one)), image.flip(2))
    close(moved(rotation(-torch.pi / 2 * one)), image.rot90(-1, (2, 3)))  # the inverse of a turn clockwise
    close(moved(translation(torch.tensor([[-1.0], [0.0]])))[..., 1:], image[..., :3])  # one pixel to the right
    close(moved(translation(torch.tensor([[0.0], [1.0]])))[..., :3, :], image[..., 1:, :])  # one up
    first, second = rotation(0.3 * one), scaling(2 * one, 0.5 * one)
    torch.testing.assert_close(compose(first, second), first @ second)
