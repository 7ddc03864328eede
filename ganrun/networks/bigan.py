"""Networks that play with pairs of a sample and its latent.

Donahue, Krähenbühl & Darrell, *Adversarial Feature Learning*, ICLR 2017, arXiv 1605.09782: the fully connected networks
for MNIST. Differs from the paper: images in [-1, 1] (tanh) instead of [0, 1]; samples of any shape; the latent enters
the discriminator's first layer only.

A pair is one vector ``[B, numbers + latent_size]``, the flattened sample first. So everything that takes gradients or
interpolates (penalties, normalisers) does so in both parts at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.dcgan import trunk
from ganrun.networks.layers.condition import append_planes, append_to_latent
from ganrun.networks.layers.dense import dense
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.spectral_norm import spectral_normalise


def _leaky_relu() -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True)


class Generator(nn.Module):
    """A latent through hidden layers to one sample.

    Args:
        latent_size: dimensions of z.
        widths: units of the hidden layers.
        norm: of every hidden layer.
        init: how the weights are drawn; ``default``: as PyTorch does.
        output: ``tanh`` for images in [-1, 1], ``linear`` for unbounded points.
        conditional: whether class labels are appended to z.
        shape: shape of one sample.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, *shape]``.
    """

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        norm: Literal["batch", "layer", "none"],
        init: Literal["default", "normal", "orthogonal"],
        output: Literal["tanh", "linear"],
        conditional: bool,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        sizes = [latent_size + self.appended, *widths]
        hidden = [dense(narrow, wide, norm, nn.ReLU(inplace=True)) for narrow, wide in pairwise(sizes)]
        last = nn.Linear(widths[-1], math.prod(shape))
        self.layers = nn.Sequential(*hidden, last, nn.Tanh() if output == "tanh" else nn.Identity())
        self.shape = tuple(shape)
        initialise(self, init)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.appended)).unflatten(1, self.shape)


class Encoder(nn.Module):
    """One sample through hidden layers to a latent.

    Args:
        latent_size: dimensions of z.
        widths: units of the hidden layers.
        norm: of every hidden layer but the first.
        init: how the weights are drawn; ``default``: as PyTorch does.
        stochastic: whether the output is the mean and the logarithm of the variance of z, instead of z.
        conditional: whether class labels are appended to the sample.
        shape: shape of one sample.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, *shape]`` (and ``[B]`` labels) -> ``[B, latent_size]``, or twice as many.
    """

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        norm: Literal["batch", "layer", "none"],
        init: Literal["default", "normal", "orthogonal"],
        stochastic: bool,
        conditional: bool,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        hidden = _hidden(math.prod(shape) + self.appended, widths, norm)
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], 2 * latent_size if stochastic else latent_size))
        initialise(self, init)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(samples.flatten(1), condition, self.appended))


class Discriminator(nn.Module):
    """A pair through hidden layers to a raw score.

    Args:
        latent_size: dimensions of z.
        widths: units of the hidden layers.
        norm: of every hidden layer but the first. ``auto`` becomes ``batch``, or ``none`` when the loss takes gradients
            with respect to single pairs or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels are appended to the pair.
        shape: shape of one sample.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, numbers + latent_size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the activations of every
    hidden layer.
    """

    provides = ("pairs",)

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        norm: Literal["auto", "batch", "layer", "none"],
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        conditional: bool,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        self.blocks = nn.ModuleList(_hidden(math.prod(shape) + latent_size + self.appended, widths, norm))
        self.head = nn.Linear(widths[-1], 1)
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, pairs: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_to_latent(pairs, condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))


class ConvolutionalDiscriminator(nn.Module):
    """DCGAN's convolutions for the image, a dense layer for the latent, and dense layers for what comes of both.

    Args:
        latent_size: dimensions of z.
        width: channels after the first convolution; they double at every halving of the resolution.
        latent_width: units of the latent's layer.
        joint_widths: units of the layers for both.
        norm: of every convolution but the first. ``auto`` becomes ``batch``, or ``none`` when the loss takes gradients
            with respect to single pairs or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether class labels enter as constant planes of the image.
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels · size² + latent_size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the activations of
    every convolution and of every joint layer.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)
    provides = ("pairs",)

    def __init__(
        self,
        latent_size: PositiveInt,
        width: PositiveInt,
        latent_width: PositiveInt,
        joint_widths: Sequence[PositiveInt],
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        init: Literal["normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.latent_size = latent_size
        self.appended = classes if conditional else 0
        self.blocks, top = trunk(channels + self.appended, width, size, norm, bias=True)
        self.latent = dense(latent_size, latent_width, "none", _leaky_relu())
        self.joint = nn.ModuleList(_hidden(4 * 4 * top + latent_width, joint_widths, "none"))
        self.head = nn.Linear(joint_widths[-1], 1)
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, pairs: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        images, z = split(pairs, self.shape)
        features = []
        hidden = append_planes(images, condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        hidden = torch.cat([hidden.flatten(1), self.latent(z)], dim=1)
        for block in self.joint:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))


def split(pairs: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The two parts of pairs: samples ``[B, *shape]`` and latents ``[B, latent_size]``."""
    numbers = math.prod(shape)
    return pairs[:, :numbers].unflatten(1, shape), pairs[:, numbers:]


def _hidden(narrow: int, widths: Sequence[int], norm: str) -> list[nn.Module]:
    """Dense layers, all but the first normalised."""
    sizes = enumerate(pairwise([narrow, *widths]))
    return [dense(one, other, norm if index else "none", _leaky_relu()) for index, (one, other) in sizes]
