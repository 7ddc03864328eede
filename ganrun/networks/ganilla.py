"""The translator of GANILLA (Hicsonmez et al., *GANILLA*, Image and Vision Computing 2020, arXiv 2002.05638).

A residual network reads the image, and a feature pyramid writes the translation from what every stage of it has seen,
so that edges of the original stay where they were.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ganrun.core.arguments import PositiveInt
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer


def _padded(narrow: int, wide: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Sequential:
    """A convolution with reflection padding."""
    return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(narrow, wide, kernel, stride, bias=bias))


def _normalised(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, norm_layer("instance", channels))


class Block(nn.Module):
    """``ReLU(conv([F(x), x]))``: what a residual block would add up is concatenated, and then mixed.

    Args:
        narrow: channels of the input.
        wide: channels of the output.
        stride: 2 halves the resolution; x then passes a 1x1 convolution, as it does where the channels change.
    """

    def __init__(self, narrow: int, wide: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _normalised(_padded(narrow, wide, 3, stride), wide),
            nn.ReLU(inplace=True),
            _normalised(_padded(wide, wide, 3), wide),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or narrow != wide:
            self.shortcut = _normalised(nn.Conv2d(narrow, wide, 1, stride, bias=False), wide)
        self.mix = nn.Sequential(_normalised(_padded(2 * wide, wide, 3), wide), nn.ReLU(inplace=True))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.mix(torch.cat([self.residual(hidden), self.shortcut(hidden)], dim=1))


class Generator(nn.Module):
    """Stages of concatenating blocks down, and a pyramid of their outputs up again, tanh.

    The first convolution and its pooling halve the resolution, and so does every stage but the first. Instance norm
    without affine parameters on the way down, nothing on the way up.

    Differs from the paper: none of the pyramid's inputs has a factor, all of which are 1 there.

    Args:
        widths: channels of the stages; the first are also those at full resolution. The paper: 64, 128, 128, 256.
        blocks: blocks of the stages; the paper: 2, 2, 2, 2.
        pyramid_width: channels of the pyramid; the paper: 128.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, C, H, W]`` -> ``[B, C, H, W]``.

    Raises:
        ValueError: ``widths`` and ``blocks`` differ in length; or height or width is not divisible by 2^stages (16), or
            below twice that (32 pixels).
    """

    requires = ("images",)

    def __init__(
        self,
        widths: list[PositiveInt],
        blocks: list[PositiveInt],
        pyramid_width: PositiveInt,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        channels, *sides = shape
        if len(widths) != len(blocks):
            raise ValueError(f"every stage has a width and a number of blocks; got {len(widths)} and {len(blocks)}")
        self.multiple = 2 ** len(widths)
        self.least = 2 * self.multiple
        if any(side % self.multiple or side < self.least for side in sides):
            raise ValueError(
                f"GANILLA with {len(widths)} stages needs sides divisible by {self.multiple} and at least "
                f"{self.least}; got {tuple(sides)}"
            )
        self.stem = nn.Sequential(
            _normalised(_padded(channels, widths[0], 7, bias=True), widths[0]),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.MaxPool2d(3, 2),
        )
        self.stages = nn.ModuleList()
        for index, ((narrow, wide), count) in enumerate(zip(pairwise([widths[0], *widths]), blocks, strict=True)):
            first = Block(narrow, wide, stride=1 if index == 0 else 2)
            self.stages.append(nn.Sequential(first, *(Block(wide, wide, stride=1) for _ in range(count - 1))))
        self.laterals = nn.ModuleList(nn.Conv2d(wide, pyramid_width, 1) for wide in widths)
        self.head = nn.Sequential(
            _padded(pyramid_width, widths[0], 3, bias=True), _padded(widths[0], channels, 7, bias=True), nn.Tanh()
        )
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        hidden, seen = self.stem(images), []
        for stage in self.stages:
            hidden = stage(hidden)
            seen.append(hidden)
        *finer, coarsest = (lateral(hidden) for lateral, hidden in zip(self.laterals, seen, strict=True))
        merged = coarsest
        for lateral in reversed(finer):
            merged = lateral + interpolate(merged, scale_factor=2.0, mode="nearest")
        return self.head(interpolate(merged, scale_factor=2.0, mode="nearest"))
