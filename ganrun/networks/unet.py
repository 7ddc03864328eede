"""The U-Net of pix2pix (Isola et al., *Image-to-Image Translation with Conditional ...*, CVPR 2017)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.planes import planes as as_planes

MOST_HALVINGS = 8


class Dropout(nn.Module):
    """Each number becomes 0 with probability one half, and twice itself otherwise.

    Args:
        always: in evaluation too.
    """

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always = always

    def forward(self, hidden: Tensor) -> Tensor:
        return dropout(hidden, 0.5, self.training or self.always)


class Generator(nn.Module):
    """Halvings down to the bottleneck and as many doublings, each beside what the encoder had at its resolution, tanh.

    Appendix 6.1.1 (arXiv 1611.07004): 4x4 convolutions, LeakyReLU(0.2) on the way down, ReLU on the way up. Neither the
    first layer nor the bottleneck, which under batch norm would be 0 for a batch of one, is normalised. Dropout is the
    only noise.

    Differs from the paper, where batch norm takes the statistics of the test batch, which is a single image:
    ``instance`` does so for every image of any batch, and ``batch`` uses running averages.

    Args:
        width: channels after the first halving; they double at every further one, up to 8 times.
        halvings: how often the sides are halved; ``None``: as often as they can be, at most 8 times.
        norm: normalisation; under ``batch`` no convolution before the last has a bias.
        dropout_blocks: doublings with dropout, from the bottleneck on, the last excluded; 3 in the paper.
        noise_in_evaluation: whether dropout draws in evaluation too, as in the paper: answers are random then.
        planes: channels of source images or classes of label maps; 0: the source is an image like those to be made.
        shape: shape of one image to be made, ``(channels, height, width)``.

    Attributes:
        multiple: what sides must be divisible by.
        least: the smallest side.

    Shapes: source images ``[B, K, H, W]`` or label maps ``[B, H, W]`` -> ``[B, C, H, W]``.

    Raises:
        ValueError: height or width is not divisible by 2^halvings.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        halvings: PositiveInt | None,
        norm: Literal["batch", "instance", "none"],
        dropout_blocks: NonNegativeInt,
        noise_in_evaluation: bool,
        planes: int,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        channels, *sides = shape
        halvings = halvings or most_halvings(sides)
        self.multiple = self.least = 2**halvings
        if not halvings or any(side % self.multiple for side in sides):
            raise ValueError(f"a U-Net with halvings={halvings} needs sides divisible by {self.multiple}; got {sides}")
        self.planes = planes or channels
        widths = [self.planes, *(width * min(2**k, 8) for k in range(halvings))]
        bias = norm != "batch"  # as published, also where there is no norm

        self.downs = nn.ModuleList()
        for index, (narrow, wide) in enumerate(pairwise(widths)):
            plain = index in (0, halvings - 1)
            normalise = nn.Identity() if plain else norm_layer(norm, wide)
            halve = nn.Conv2d(narrow, wide, 4, 2, 1, bias=bias)
            self.downs.append(nn.Sequential(halve, normalise, nn.LeakyReLU(0.2)))

        self.ups = nn.ModuleList()
        for index, (wide, narrow) in enumerate(pairwise(widths[:0:-1])):
            beside = 1 if index == 0 else 2
            double = nn.ConvTranspose2d(beside * wide, narrow, 4, 2, 1, bias=bias)
            noise = [Dropout(noise_in_evaluation)] if index < dropout_blocks else []
            self.ups.append(nn.Sequential(double, norm_layer(norm, narrow), *noise, nn.ReLU()))
        beside = 1 if halvings == 1 else 2
        self.ups.append(nn.Sequential(nn.ConvTranspose2d(beside * width, channels, 4, 2, 1), nn.Tanh()))
        normal_init(self)

    def forward(self, source: Tensor) -> Tensor:
        hidden = as_planes(source, self.planes)
        kept = []
        for down in self.downs:
            hidden = down(hidden)
            kept.append(hidden)
        kept.pop()
        for up in self.ups:
            hidden = up(hidden)
            if kept:
                hidden = torch.cat([hidden, kept.pop()], dim=1)
        return hidden


def most_halvings(sides: list[int]) -> int:
    """How often all sides can be halved, at most 8 times."""
    return next(k for k in range(MOST_HALVINGS, -1, -1) if not any(side % 2**k for side in sides))
