"""Fully connected networks for images of any size and for 2-D points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import append_to_latent


def _activation(name: str) -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True) if name == "leaky_relu" else nn.ReLU(inplace=True)


class Generator(nn.Module):
    """A latent through hidden layers to one sample.

    Args:
        latent_size: dimensions of z.
        widths: units of the hidden layers.
        norm: ``batch``: batch norm in every hidden layer but the first; ``none``.
        activation: of the hidden layers.
        output: ``tanh`` for images in [-1, 1], ``linear`` for unbounded points.
        conditional: whether class labels are appended to z.
        shape: shape of one sample, ``(channels, height, width)`` or ``(2,)``.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, *shape]``.
    """

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        norm: Literal["batch", "none"],
        activation: Literal["relu", "leaky_relu"],
        output: Literal["tanh", "linear"],
        conditional: bool,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.classes = classes if conditional else 0
        self.shape = tuple(shape)
        layers: list[nn.Module] = []
        for index, (narrow, wide) in enumerate(zip([latent_size + self.classes, *widths], widths, strict=False)):
            layers.append(nn.Linear(narrow, wide))
            if norm == "batch" and index > 0:
                layers.append(nn.BatchNorm1d(wide))
            layers.append(_activation(activation))
        layers.append(nn.Linear(widths[-1], math.prod(shape)))
        if output == "tanh":
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.classes)).unflatten(1, self.shape)


class Discriminator(nn.Module):
    """One sample through hidden layers to a raw score.

    Args:
        widths: units of the hidden layers.
        activation: of the hidden layers.
        conditional: whether class labels are appended to the sample.
        shape: shape of one sample.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, *shape]`` (and ``[B]`` labels) -> scores ``[B]``; features: the activations of every hidden layer.
    """

    def __init__(
        self,
        widths: Sequence[PositiveInt],
        activation: Literal["relu", "leaky_relu"],
        conditional: bool,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.classes = classes if conditional else 0
        sizes = [math.prod(shape) + self.classes, *widths]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(narrow, wide), _activation(activation))
            for narrow, wide in zip(sizes, widths, strict=False)
        )
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_to_latent(samples.flatten(1), condition, self.classes)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))
