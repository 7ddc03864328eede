"""Differentiable augmentation.

Zhao, Liu, Lin, Zhu, Han, *Differentiable Augmentation for Data-Efficient GAN Training*, NeurIPS 2020, arXiv 2006.10738.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ganrun.augment.base import Augment
from ganrun.augment.shift import random_shifts, shift
from ganrun.core.types import Moment


class DiffAugment(Augment):
    """``T`` in ``D(T(x))`` and ``D(T(G(z)))``: fixed random transforms of every image, always applied.

    * ``color``: brightness ``x + (u - ½)``, then saturation ``(x - m)·2u + m`` about the mean m of its channels,
      then contrast ``(x - m)·(u + ½) + m`` about the mean of the image, each with its own ``u ~ U(0, 1)``. Saturation
      does nothing to grey images.
    * ``translation``: by whole pixels, uniform in ±⅛ of the side along each axis; zeros move in.
    * ``cutout``: zeros in a square of half the side, whose centre is uniform in the image.

    Args:
        policy: which of them, in the order of application; none: the identity.

    Shapes: ``[B, C, H, W]`` in [-1, 1] -> the same; values may leave [-1, 1].
    """

    requires = ("images",)
    forbids = ("pairs",)

    def __init__(self, policy: Sequence[Literal["color", "translation", "cutout"]]) -> None:
        super().__init__()
        transforms = {"color": color, "translation": translation, "cutout": cutout}
        self.policy = [transforms[name] for name in policy]

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        for transform in self.policy:
            samples = transform(samples)
        return samples


def color(images: Tensor) -> Tensor:
    """Random brightness, saturation and contrast, in this order."""
    images = images + (_uniform(images) - 0.5)
    images = _spread(images, images.mean(1, keepdim=True), 2 * _uniform(images))
    return _spread(images, images.mean((1, 2, 3), keepdim=True), _uniform(images) + 0.5)


def translation(images: Tensor) -> Tensor:
    """A random shift by at most an eighth of the side along each axis."""
    down, right = (_share(side, 8) for side in images.shape[2:])
    return shift(images, random_shifts(images, down, right), "zeros")


def cutout(images: Tensor) -> Tensor:
    """Zeros in a square of half the side, clipped at the border."""
    rows, columns = (_cut(images, side) for side in images.shape[2:])
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _cut(images: Tensor, side: int) -> Tensor:
    """Which positions along an axis a random interval of half its length covers, ``[B, side]``.

    Its centre is a pixel where the length is odd, and a boundary of pixels (or the border) where it is even.
    """
    length = _share(side, 2)
    centre = torch.randint(side + 1 - length % 2, (len(images), 1), device=images.device)
    distance = torch.arange(side, device=images.device) - (centre - length // 2)
    return (distance >= 0) & (distance < length)


def _share(side: int, parts: int) -> int:
    """``side / parts`` to the nearest whole number, halves upwards."""
    return int(side / parts + 0.5)


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def _spread(images: Tensor, centre: Tensor, factor: Tensor) -> Tensor:
    return (images - centre) * factor + centre
