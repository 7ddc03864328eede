"""Networks of ALI for CIFAR-10 (Dumoulin et al., *Adversarially Learned Inference*, ICLR 2017, arXiv 1606.00704).

Appendix A, table of CIFAR-10. Differs from the paper: images in [-1, 1] (tanh) instead of [0, 1] (sigmoid), and no
"untied" biases, of which there is one per position.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.bigan import split
from ganrun.networks.layers.init import normal_init

KERNELS = ((5, 1), (4, 2), (4, 1), (4, 2), (4, 1))
"""Kernel and stride from 32x32 to 1x1; the generator goes the same way back."""

FACTORS = (1, 2, 4, 8, 16)
"""Channels after these layers, in units of ``width``."""


def _check(size: int) -> None:
    if size != 32:
        raise ValueError(f"ALI's networks are made for 32 pixels; got {size}")


def _block(convolution: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.LeakyReLU(0.1, inplace=True))


class Encoder(nn.Module):
    """Convolutions without padding from an image to the mean and the logarithm of the variance of a latent.

    Args:
        latent_size: dimensions of z.
        width: channels after the first layer.
        init_std: standard deviation of the initial weights, 0.01 in the paper.
        size: side of the image in pixels, 32.
        channels: image channels.

    Shapes: ``[B, channels, 32, 32]`` -> ``[B, 2 · latent_size]``.

    Raises:
        ValueError: ``size`` is not 32.
    """

    requires = ("images",)

    def __init__(
        self, latent_size: PositiveInt, width: PositiveInt, init_std: Positive, size: int, channels: int
    ) -> None:
        super().__init__()
        _check(size)
        widths = [width * factor for factor in FACTORS]
        layers = [
            _block(nn.Conv2d(narrow, wide, kernel, stride, bias=False), wide)
            for (narrow, wide), (kernel, stride) in zip(pairwise([channels, *widths]), KERNELS, strict=True)
        ]
        layers.append(_block(nn.Conv2d(widths[-1], widths[-1], 1, bias=False), widths[-1]))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 2 * latent_size, 1))
        normal_init(self, init_std)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(images).flatten(1)


class Generator(nn.Module):
    """Transposed convolutions without padding from a latent to an image.

    Args:
        latent_size: dimensions of z.
        width: channels before the last layer; 8 times as many after the first.
        init_std: standard deviation of the initial weights, 0.01 in the paper.
        size: side of the image in pixels, 32.
        channels: image channels.

    Shapes: ``[B, latent_size]`` -> ``[B, channels, 32, 32]``.

    Raises:
        ValueError: ``size`` is not 32.
    """

    requires = ("images",)

    def __init__(
        self, latent_size: PositiveInt, width: PositiveInt, init_std: Positive, size: int, channels: int
    ) -> None:
        super().__init__()
        _check(size)
        widths = [width * factor for factor in (8, 4, 2, 1, 1)]
        layers = [
            _block(nn.ConvTranspose2d(narrow, wide, kernel, stride, bias=False), wide)
            for (narrow, wide), (kernel, stride) in zip(pairwise([latent_size, *widths]), KERNELS[::-1], strict=True)
        ]
        layers.append(_block(nn.Conv2d(width, width, 1, bias=False), width))
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 1), nn.Tanh())
        normal_init(self, init_std)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(z[:, :, None, None])


class Maxout(nn.Module):
    """The larger of every two channels (Goodfellow et al., *Maxout Networks*, ICML 2013): ``[B, 2 C, ...]`` to C."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(1, (-1, 2)).amax(2)


class Discriminator(nn.Module):
    """Maxout layers with dropout for the image, for the latent, and for both.

    Args:
        latent_size: dimensions of z.
        width: channels of the first convolution, of which maxout leaves half, as in the published code.
        input_dropout: share of the inputs of the three parts that is dropped, 0.2 in the paper.
        dropout: share of the inputs of all other layers, 0.5 in the paper.
        bias: whether its layers have biases, tied over positions. ``auto`` becomes ``True`` where scores are normalised
            by their slope, else ``False``.
        init_std: standard deviation of the initial weights, 0.01 in the paper.
        size: side of the image in pixels, 32.
        channels: image channels.

    Shapes: ``[B, channels · 32² + latent_size]`` -> scores ``[B]``; features: what the joint part sees, and its
    activations.

    Raises:
        ValueError: ``size`` is not 32.
    """

    requires = ("images",)
    provides = ("pairs",)

    def __init__(
        self,
        latent_size: PositiveInt,
        width: PositiveInt,
        input_dropout: float,
        dropout: float,
        bias: bool | Literal["auto"],
        init_std: Positive,
        size: int,
        channels: int,
    ) -> None:
        super().__init__()
        _check(size)
        if bias == "auto":
            raise ValueError("bias=auto was never resolved; choose true or false")
        self.shape = (channels, size, size)
        widths = [width * factor for factor in FACTORS]
        top = widths[-1]

        def layer(narrow: int, wide: int, kernel: int, stride: int, dropped: float) -> nn.Module:
            convolution = nn.Conv2d(narrow, wide, kernel, stride, bias=bias)
            return nn.Sequential(nn.Dropout(dropped), convolution, Maxout())

        narrows = [channels, *(wide // 2 for wide in widths)]
        self.image = nn.Sequential(
            *(
                layer(narrow, wide, *kernel, dropped=dropout if index else input_dropout)
                for index, (narrow, wide, kernel) in enumerate(zip(narrows, widths, KERNELS, strict=False))
            )
        )
        self.latent = nn.Sequential(layer(latent_size, top, 1, 1, input_dropout), layer(top // 2, top, 1, 1, dropout))
        self.joint = nn.ModuleList([layer(top, 2 * top, 1, 1, input_dropout), layer(top, 2 * top, 1, 1, dropout)])
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Conv2d(top, 1, 1, bias=bias))
        normal_init(self, init_std)

    def forward(self, pairs: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        images, z = split(pairs, self.shape)
        hidden = torch.cat([self.image(images), self.latent(z[:, :, None, None])], dim=1)
        features = [hidden]
        for block in self.joint:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))
