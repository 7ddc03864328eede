"""Networks of VAE-GAN (Larsen et al., *Autoencoding beyond pixels using a learned similarity metric*, ICML 2016).

arXiv 1512.09300, table 4. Differs from the paper: the encoder's dense layer has as many units as YAML says, 1024 in the
published code and 2048 in the paper; class labels, which it does not have, may be appended everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import append_planes, append_to_latent
from ganrun.networks.layers.dense import dense
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.spectral_norm import spectral_normalise


def _bottom(size: int, halvings: int) -> int:
    """Side after so many halvings.

    Raises:
        ValueError: ``size`` is not divisible by 2^halvings.
    """
    if size % 2**halvings:
        raise ValueError(f"VAE-GAN's {halvings} halvings need a size divisible by {2**halvings}; got {size}")
    return size // 2**halvings


def _halving(narrow: int, wide: int, norm: str) -> nn.Sequential:
    convolution = nn.Conv2d(narrow, wide, 5, 2, 2, bias=norm != "batch")  # batch norm would take a bias away again
    return nn.Sequential(convolution, norm_layer(norm, wide), nn.ReLU(inplace=True))


def _doubling(wide: int, narrow: int, norm: str) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(wide, narrow, 5, 2, 2, output_padding=1, bias=norm != "batch")
    return nn.Sequential(convolution, norm_layer(norm, narrow), nn.ReLU(inplace=True))


class Encoder(nn.Module):
    """Strided convolutions from an image to the mean and the logarithm of the variance of q(z|x).

    Args:
        latent_size: dimensions of z.
        widths: channels after each halving.
        hidden: units of the dense layer.
        norm: normalisation of every layer but the last.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels enter as constant planes of the image.
        size: side of the image in pixels, divisible by 2^k for k widths.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> ``[B, 2 · latent_size]``.

    Raises:
        ValueError: ``size`` is not divisible by 2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        hidden: PositiveInt,
        norm: Literal["batch", "layer", "none"],
        init: Literal["default", "normal", "orthogonal", "xavier"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        flat = widths[-1] * _bottom(size, len(widths)) ** 2
        self.layers = nn.Sequential(
            *(_halving(narrow, wide, norm) for narrow, wide in pairwise([channels + self.appended, *widths])),
            nn.Flatten(),
            dense(flat, hidden, norm, nn.ReLU(inplace=True), bias=norm != "batch"),
            nn.Linear(hidden, 2 * latent_size),
        )
        initialise(self, init)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_planes(images, condition, self.appended))


class Generator(nn.Module):
    """A dense layer and transposed convolutions from a latent to an image: the paper's decoder.

    Args:
        latent_size: dimensions of z.
        first_width: channels of the map that the dense layer makes.
        widths: channels after each doubling.
        norm: normalisation of every layer but the last.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels are appended to z.
        size: side of the image in pixels, divisible by 2^k for k widths.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not divisible by 2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        first_width: PositiveInt,
        widths: Sequence[PositiveInt],
        norm: Literal["batch", "layer", "none"],
        init: Literal["default", "normal", "orthogonal", "xavier"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        side = _bottom(size, len(widths))
        flat = first_width * side**2
        self.layers = nn.Sequential(
            dense(latent_size + self.appended, flat, norm, nn.ReLU(inplace=True), bias=norm != "batch"),
            nn.Unflatten(1, (first_width, side, side)),
            *(_doubling(wide, narrow, norm) for wide, narrow in pairwise([first_width, *widths])),
            nn.Conv2d(widths[-1], channels, 5, 1, 2),
            nn.Tanh(),
        )
        initialise(self, init)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.appended))


class Discriminator(nn.Module):
    """Convolutions from an image to one raw score.

    Args:
        first_width: channels of the first convolution, which keeps the size.
        widths: channels after each halving.
        hidden: units of the dense layer.
        norm: normalisation of every layer but the first and the last. ``auto`` becomes ``batch``, or ``none`` when the
            loss takes gradients with respect to single samples or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels enter as constant planes of the image.
        size: side of the image in pixels, divisible by 2^k for k widths.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the activations of every
    hidden layer, but for the last convolution what it puts out before its norm, as in the published code.

    Raises:
        ValueError: ``size`` is not divisible by 2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        first_width: PositiveInt,
        widths: Sequence[PositiveInt],
        hidden: PositiveInt,
        norm: Literal["auto", "batch", "layer", "none"],
        spectral: bool,
        init: Literal["default", "normal", "orthogonal", "xavier"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        first = nn.Sequential(nn.Conv2d(channels + self.appended, first_width, 5, 1, 2), nn.ReLU(inplace=True))
        halvings = [_halving(narrow, wide, norm) for narrow, wide in pairwise([first_width, *widths])]
        last, activate = halvings[-1][0], [halvings[-1][1], nn.ReLU()]  # not in place: features keep what goes in
        flat = widths[-1] * _bottom(size, len(widths)) ** 2
        judge = dense(flat, hidden, norm, nn.ReLU(inplace=True), bias=norm != "batch")
        self.blocks = nn.ModuleList([first, *halvings[:-1], last, nn.Sequential(*activate, nn.Flatten(), judge)])
        self.head = nn.Linear(hidden, 1)
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_planes(images, condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))
