"""Wide residual networks with self-attention: SAGAN's and BigGAN's.

Zhang et al., *Self-Attention GANs*, ICML 2019, arXiv 1805.08318; Brock, Donahue & Simonyan, *Large Scale GAN Training
for High Fidelity Natural Image Synthesis*, ICLR 2019, arXiv 1809.11096 (section 3, appendix B and figure 15). One
discriminator serves both; BigGAN's generator is SAGAN's with a class embedding that all layers share and a latent that
enters in every block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.attention import SelfAttention, attended_sides
from ganrun.networks.layers.condition import Conditioned, Projection, VectorConditionalNorm, given
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.sizes import for_size
from ganrun.networks.layers.spectral_norm import spectral_normalise
from ganrun.networks.resnet import Block, FirstBlock, UpBlock


class Generator(nn.Module):
    """A linear layer, residual blocks that double the resolution, attention among them, to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        embedding_size: dimensions of the class embedding of which all gains and biases of batch norm are linear maps;
            ``None``: every batch norm has gains and biases per class of its own (SAGAN).
        hierarchical: whether z is cut into equal parts, one for the linear layer and one for the norms of each block.
        width: unit of channels.
        multipliers: by size of the image: channels at 4x4, 8x8, ... and at the full resolution, in that unit.
        attention: by size of the image: sides of the maps that attend to themselves.
        spectral: whether all weights but the embedding are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether the network is given class labels.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``multipliers`` or ``attention`` has no entry for ``size``, or one that does not fit it;
            ``hierarchical`` and the parts of z are not equal, or labels have no shared embedding.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        embedding_size: PositiveInt | None,
        hierarchical: bool,
        width: PositiveInt,
        multipliers: Mapping[str, Sequence[PositiveInt]],
        attention: Mapping[str, Sequence[PositiveInt]],
        spectral: bool,
        init: Literal["xavier", "normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        layout = doubling_layout(multipliers, width, size)
        self.embedding = class_embedding(classes, embedding_size, init)
        self.hierarchical = hierarchical
        self.part = part_size(latent_size, len(layout)) if hierarchical else latent_size
        if hierarchical and classes and self.embedding is None:
            raise ValueError("hierarchical=true joins parts of z with a class embedding: give embedding_size")
        condition_size = (self.part if hierarchical else 0) + (0 if self.embedding is None else embedding_size or 0)
        sides = [8 * 2**k for k in range(len(layout) - 1)]
        attended = attended_sides(attention, size, sides)
        self.first = first_layer(self.part, layout[0])
        self.blocks = nn.ModuleList()
        for (narrow, wide), side in zip(pairwise(layout), sides, strict=True):
            norms = norm(narrow, condition_size, classes), norm(wide, condition_size, classes)
            block = UpBlock(narrow, wide, norms, hidden_bias=True)
            self.blocks.append(Conditioned(block, SelfAttention(wide)) if side in attended else block)
        self.last = last_layer(layout[-1], channels)
        prepare([self.first, self.blocks, self.last], init, spectral)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        parts = z.split(self.part, dim=1)
        hidden = self.first(parts[0])
        for block, given_to_norms in zip(self.blocks, self.conditions(parts[1:], condition), strict=True):
            hidden = block(hidden, given_to_norms)
        return self.last(hidden)

    def conditions(self, parts: Sequence[Tensor], labels: Tensor | None) -> list[Tensor | None]:
        """What the norms of each block are given: its part of z, then the class embedding; or the labels."""
        shared = None if self.embedding is None else self.embedding(given(labels))
        if not self.hierarchical:
            return [labels if shared is None else shared] * len(self.blocks)
        return [part if shared is None else torch.cat([part, shared], dim=1) for part in parts]


class Discriminator(nn.Module):
    """Residual blocks as wide inside as behind, attention among them, ReLU, sum over positions and a linear layer.

    Labels enter by projection.

    Args:
        width: unit of channels.
        multipliers: by size of the image: channels after every block, in that unit.
        halvings: by size of the image: how many blocks, from the first, halve the resolution.
        attention: by size of the image: sides of the maps that attend to themselves.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether the network is given class labels.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the maps after every block,
    the last ones as they are summed.

    Raises:
        ValueError: a table has no entry for ``size``, or one that does not fit it.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        multipliers: Mapping[str, Sequence[PositiveInt]],
        halvings: Mapping[str, PositiveInt],
        attention: Mapping[str, Sequence[PositiveInt]],
        spectral: bool,
        init: Literal["xavier", "normal", "orthogonal"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        layout = [width * factor for factor in for_size(multipliers, size, "multipliers")]
        sides = halved_sides(halvings, size, len(layout))
        attended = attended_sides(attention, size, list(dict.fromkeys(sides)))
        self.blocks = nn.ModuleList()
        for (narrow, wide), (before, side) in zip(pairwise([channels, *layout]), pairwise([size, *sides]), strict=True):
            block = Block(narrow, wide, wide, "none", True, side < before) if self.blocks else FirstBlock(narrow, wide)
            attends = side < before and side in attended
            self.blocks.append(nn.Sequential(block, SelfAttention(wide)) if attends else block)
        self.head = Head(layout[-1], classes if conditional else 0)
        prepare([self], init, spectral)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return judge(self.blocks, self.head, images, condition)


class Head(nn.Module):
    """Sum over positions and a linear layer, plus the projection of the class.

    Args:
        features: channels of the input.
        classes: number of classes; 0: no projection.

    Shapes: ``[B, features, H, W]`` (and ``[B]`` labels) -> ``[B]``.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.projection = Projection(classes, features) if classes else None

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        pooled = maps.sum((2, 3))
        score = self.linear(pooled).flatten()
        return score if self.projection is None else score + self.projection(pooled, labels)


def judge(blocks: nn.ModuleList, head: Head, images: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
    """Blocks in a row, ReLU and a head; the features are what came out of every block."""
    features = []
    hidden = images
    for block in blocks:
        hidden = block(hidden)
        features.append(hidden)
    features[-1] = relu(hidden)
    return DiscriminatorOutput(scores=(head(features[-1], labels),), features=tuple(features))


def norm(channels: int, condition_size: int, classes: int) -> nn.Module:
    """Batch norm with gains and biases from a vector, from the class, or of its own."""
    if condition_size:
        return VectorConditionalNorm(nn.BatchNorm2d(channels, affine=False), channels, condition_size)
    return norm_layer("batch", channels, classes)


def first_layer(inputs: int, channels: int) -> nn.Module:
    """``[B, inputs]`` -> ``[B, channels, 4, 4]``."""
    return nn.Sequential(nn.Linear(inputs, channels * 4 * 4), nn.Unflatten(1, (channels, 4, 4)))


def last_layer(inputs: int, channels: int) -> nn.Module:
    """Norm, ReLU and a convolution to an image."""
    convolution = nn.Conv2d(inputs, channels, 3, 1, 1)
    return nn.Sequential(norm_layer("batch", inputs), nn.ReLU(inplace=True), convolution, nn.Tanh())


def class_embedding(classes: int, size: int | None, init: str) -> nn.Embedding | None:
    """The embedding that all layers share; never spectrally normalised. ``None`` without classes or ``size``."""
    if not classes or size is None:
        return None
    embedding = nn.Embedding(classes, size)
    initialise(embedding, init)
    return embedding


def prepare(parts: Sequence[nn.Module], init: str, spectral: bool) -> None:
    """Draw the weights of ``parts``; normalise them on request."""
    for part in parts:
        initialise(part, init)
        if spectral:
            spectral_normalise(part)


def part_size(latent_size: int, parts: int) -> int:
    """Dimensions of each of ``parts`` equal parts of z.

    Raises:
        ValueError: they would not be equal.
    """
    if latent_size % parts:
        raise ValueError(
            f"hierarchical=true cuts z into {parts} equal parts, for the first layer and each block, and {latent_size} "
            f"dimensions do not divide by {parts}"
        )
    return latent_size // parts


def doubling_layout(multipliers: Mapping[str, Sequence[int]], width: int, size: int) -> list[int]:
    """Channels at 4x4, 8x8, ... and at the full resolution.

    Raises:
        ValueError: ``multipliers`` has no entry for ``size``, or one of another length than 4x4 has to be doubled.
    """
    layout = [width * factor for factor in for_size(multipliers, size, "multipliers")]
    if 4 * 2 ** (len(layout) - 1) != size:
        raise ValueError(f"{len(layout)} multipliers make {4 * 2 ** (len(layout) - 1)} pixels of 4; got {size}")
    return layout


def halved_sides(halvings: Mapping[str, int], size: int, blocks: int) -> list[int]:
    """Sides of the maps after every block, of which the first ones halve.

    Raises:
        ValueError: ``halvings`` has no entry for ``size``, or one for which there are too few blocks or pixels.
    """
    halved = for_size(halvings, size, "halvings")
    if halved > blocks or size % 2**halved:
        raise ValueError(f"{blocks} multipliers and {size} pixels do not allow {halved} halvings")
    return [size // 2 ** min(index, halved) for index in range(1, blocks + 1)]
