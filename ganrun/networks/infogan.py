"""InfoGAN's networks for MNIST (Chen et al., *InfoGAN*, NeurIPS 2016, arXiv 1606.03657, appendix C.1).

Differs from the paper: any size divisible by 4 and any number of channels; images in [-1, 1] (tanh) instead of [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.dense import dense
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer


def _quarter(size: int) -> int:
    if size < 4 or size % 4:
        raise ValueError(f"InfoGAN's networks need a size divisible by 4; got {size}")
    return size // 4


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.1, inplace=True)


def _init(network: nn.Module) -> None:
    """All weights ~ N(0, 0.02²), as in the published code."""
    normal_init(network)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Two dense layers, then two transposed convolutions, to an image in [-1, 1].

    Args:
        latent_size: dimensions of z, codes included.
        width: channels at half the output resolution; twice as many at a quarter.
        hidden: units of the first dense layer.
        size: side of the image in pixels, divisible by 4.
        channels: image channels.

    Shapes: ``[B, latent_size]`` -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not divisible by 4.
    """

    requires = ("images",)

    def __init__(self, latent_size: int, width: int, hidden: int, size: int, channels: int) -> None:
        super().__init__()
        side = _quarter(size)
        self.layers = nn.Sequential(
            dense(latent_size, hidden, "batch", nn.ReLU(inplace=True)),
            dense(hidden, 2 * width * side**2, "batch", nn.ReLU(inplace=True)),
            nn.Unflatten(1, (2 * width, side, side)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
            nn.Tanh(),
        )
        _init(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(z)


class Discriminator(nn.Module):
    """A trunk with two heads: ``head`` scores an image, ``code_head`` (the paper's Q) reads the codes off it.

    Args:
        width: channels after the first convolution; twice as many after the second.
        hidden: units of the trunk's dense layer.
        code_hidden: units of the code head's hidden layer.
        norm: normalisation of every layer but the first and the outputs. ``auto`` becomes ``batch``, or ``none`` when
            the loss takes gradients with respect to single samples.
        categories: number of values of each categorical code.
        continuous: number of continuous codes.
        size: side of the image in pixels, divisible by 4.
        channels: image channels.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``; code ``[B, sum(categories) + continuous]``: logits, then
    means; features: the trunk's three activations.

    Raises:
        ValueError: ``size`` is not divisible by 4.
    """

    requires = ("images",)

    def __init__(
        self,
        width: int,
        hidden: int,
        code_hidden: int,
        norm: Literal["auto", "batch", "layer", "none"],
        categories: Sequence[int],
        continuous: int,
        size: int,
        channels: int,
    ) -> None:
        super().__init__()
        flat = 2 * width * _quarter(size) ** 2
        self.trunk = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), _leaky_relu()),
                nn.Sequential(nn.Conv2d(width, 2 * width, 4, 2, 1), norm_layer(norm, 2 * width), _leaky_relu()),
                nn.Sequential(nn.Flatten(), dense(flat, hidden, norm, _leaky_relu())),
            ]
        )
        self.head = nn.Linear(hidden, 1)
        self.code_head = nn.Sequential(
            dense(hidden, code_hidden, norm, _leaky_relu()), nn.Linear(code_hidden, sum(categories) + continuous)
        )
        _init(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = images
        for block in self.trunk:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(
            scores=(self.head(hidden).flatten(),), features=tuple(features), code=self.code_head(hidden)
        )
