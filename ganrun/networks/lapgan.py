"""Networks of LAPGAN (Denton et al., NeurIPS 2015, arXiv 1506.05751, section 4 and its code).

The coarsest level has a fully connected pair; finer ones have a generator of residuals and a discriminator of images,
both of few and large convolutions. None is normalised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ganrun.core.arguments import Fraction, PositiveInt
from ganrun.core.tensors import one_hot
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import append_to_latent, given
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.spectral_norm import spectral_normalise


class CoarsestGenerator(nn.Module):
    """A latent through hidden layers to a small image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        widths: units of the hidden layers.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels are appended to z.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        self.shape = (channels, size, size)
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([latent_size + self.appended, *widths]):
            layers += [nn.Linear(narrow, wide), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], math.prod(self.shape)), nn.Tanh())
        _finish(self, init, spectral)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.appended)).unflatten(1, self.shape)


class CoarsestDiscriminator(nn.Module):
    """A small image through hidden layers with drop-out to one raw score.

    Args:
        widths: units of the hidden layers.
        dropout: share of the units of every hidden layer that is dropped.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels are appended to the image.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: every hidden layer.
    """

    requires = ("images",)

    def __init__(
        self,
        widths: Sequence[PositiveInt],
        dropout: Fraction,
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(narrow, wide), nn.ReLU(inplace=True), nn.Dropout(dropout))
            for narrow, wide in pairwise([channels * size**2 + self.appended, *widths])
        )
        self.head = nn.Linear(widths[-1], 1)
        _finish(self, init, spectral)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_to_latent(images.flatten(1), condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))


class ClassPlane(nn.Module):
    """One more plane, in which every class has a picture of its own: ``relu(W one-hot(y) + b)``.

    Args:
        classes: number of classes; 0 leaves images as they are.
        size: side of the images in pixels.

    Shapes: ``[B, C, size, size]`` and labels ``[B]`` -> ``[B, C + 1, size, size]``.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.classes = classes
        self.picture = nn.Linear(classes, size**2) if classes else None

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        if self.picture is None:
            return images
        plane = relu(self.picture(one_hot(given(labels), self.classes, images.dtype)))
        return torch.cat([images, plane.view(-1, 1, *images.shape[2:])], dim=1)


class Generator(nn.Module):
    """A plane of noise and a blurred image to the residual that sharpens it, which has no bounds.

    Args:
        width: channels of the hidden layers.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels enter, as a learned plane for each.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: z ``[B, size²]``, labels ``[B]`` or ``None`` and blurred images ``[B, channels, size, size]`` -> residuals
    ``[B, channels, size, size]``.
    """

    requires = ("images",)
    provides = ("residuals",)

    def __init__(
        self,
        width: PositiveInt,
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.add_class = ClassPlane(classes, size)
        self.layers = nn.Sequential(
            nn.Conv2d(channels + 1 + bool(classes), width, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 7, padding=3),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, channels, 5, padding=2),
        )
        _finish(self, init, spectral)

    def forward(self, z: Tensor, condition: Tensor | None, blurred: Tensor) -> Tensor:
        noise = z.view(-1, 1, *blurred.shape[2:])
        return self.layers(self.add_class(torch.cat([blurred, noise], dim=1), condition))


class Discriminator(nn.Module):
    """Two convolutions without padding, the second of stride 2, drop-out and a linear map to one raw score.

    Args:
        width: channels of both convolutions.
        kernel: their size, 5 as published; images must have ``2 · kernel - 1`` pixels a side.
        dropout: share of the last features that is dropped.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether class labels enter, as a learned plane for each.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: both convolutions'.

    Raises:
        ValueError: the images are too small for the kernels.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        kernel: PositiveInt,
        dropout: Fraction,
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        side = (size - 2 * kernel + 1) // 2 + 1
        if side < 1:
            raise ValueError(
                f"two convolutions of kernel {kernel} without padding need levels of {2 * kernel - 1} pixels at least "
                f"above the coarsest, and there is one of {size}. Use fewer or larger levels, or a smaller "
                "model.discriminator.kernel"
            )
        classes = classes if conditional else 0
        self.add_class = ClassPlane(classes, size)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(narrow, width, kernel, stride), nn.ReLU(inplace=True))
            for narrow, stride in ((channels + bool(classes), 1), (width, 2))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width * side**2, 1)
        _finish(self, init, spectral)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = self.add_class(images, condition)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        score = self.head(self.dropout(hidden.flatten(1))).flatten()
        return DiscriminatorOutput(scores=(score,), features=tuple(features))


def _finish(network: nn.Module, init: str, spectral: bool) -> None:
    initialise(network, init)
    if spectral:
        spectral_normalise(network)
