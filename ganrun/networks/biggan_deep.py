"""BigGAN-deep (Brock, Donahue & Simonyan, ICLR 2019, arXiv 1809.11096, appendix B and figure 16).

Four times as deep as BigGAN and yet smaller: residual blocks with a bottleneck, whose shortcuts keep what they can of
the input. The latent is not cut: all of it, beside the class embedding, reaches every norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.biggan import (
    Head,
    class_embedding,
    doubling_layout,
    first_layer,
    halved_sides,
    judge,
    last_layer,
    norm,
    prepare,
)
from ganrun.networks.layers.attention import SelfAttention, attended_sides
from ganrun.networks.layers.condition import Conditioned, given
from ganrun.networks.layers.sizes import for_size


class UpBlock(nn.Module):
    """Four times norm, ReLU, convolution: 1x1 to a quarter of the channels, 3x3, 3x3, 1x1.

    The resolution doubles by nearest neighbours before the first 3x3. The shortcut drops surplus channels.

    Args:
        inputs: channels of the input.
        outputs: channels of the output, at most ``inputs``.
        condition_size: dimensions of what the norms are given.
        double: whether the resolution is doubled.
    """

    takes_labels = True

    def __init__(self, inputs: int, outputs: int, condition_size: int, double: bool) -> None:
        super().__init__()
        inner = max(inputs // 4, 1)
        self.outputs, self.scale = outputs, 2 if double else 1
        self.norms = nn.ModuleList(norm(channels, condition_size, 0) for channels in (inputs, inner, inner, inner))
        self.branch = _bottleneck(inputs, inner, outputs)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        branch = hidden
        for index, (normalise, convolution) in enumerate(zip(self.norms, self.branch, strict=True)):
            branch = relu(normalise(branch, condition))
            branch = convolution(self._double(branch) if index == 1 else branch)
        return branch + self._double(hidden[:, : self.outputs])

    def _double(self, hidden: Tensor) -> Tensor:
        return hidden if self.scale == 1 else interpolate(hidden, scale_factor=self.scale)


class DownBlock(nn.Module):
    """Four times ReLU, convolution: 1x1 to a quarter of the output's channels, 3x3, 3x3, 1x1.

    The resolution is halved by pooling before the last. The shortcut appends missing channels by a 1x1 convolution.

    Args:
        inputs: channels of the input.
        outputs: channels of the output, at least ``inputs``.
        halve: whether the resolution is halved.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.branch = _bottleneck(inputs, max(outputs // 4, 1), outputs)
        self.appended = nn.Conv2d(inputs, outputs - inputs, 1) if inputs < outputs else None

    def forward(self, hidden: Tensor) -> Tensor:
        branch = hidden
        for convolution in self.branch[:-1]:
            branch = convolution(relu(branch))
        branch = self.branch[-1](self._pool(relu(branch)))
        hidden = self._pool(hidden)
        return branch + (hidden if self.appended is None else torch.cat([hidden, self.appended(hidden)], dim=1))

    def _pool(self, hidden: Tensor) -> Tensor:
        return avg_pool2d(hidden, 2) if self.halve else hidden


class Generator(nn.Module):
    """A linear layer, bottleneck blocks that double the resolution, attention among them, to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        embedding_size: dimensions of the class embedding.
        depth: blocks per resolution, of which the last one doubles it.
        width: unit of channels.
        multipliers: by size of the image: channels at 4x4, 8x8, ... and at the full resolution, in that unit; they
            must not rise.
        attention: by size of the image: sides of the maps that attend to themselves.
        spectral: whether all weights but the embedding are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether the network is given class labels.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``multipliers`` or ``attention`` has no entry for ``size``, or one that does not fit it.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        embedding_size: PositiveInt,
        depth: PositiveInt,
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
        layout = doubling_layout(multipliers, width, size)
        if any(wide < narrow for wide, narrow in pairwise(layout)):
            raise ValueError(f"multipliers.{size} must not rise, for shortcuts of this generator only drop channels")
        self.embedding = class_embedding(classes if conditional else 0, embedding_size, init)
        condition_size = latent_size + (0 if self.embedding is None else embedding_size)
        sides = [8 * 2**k for k in range(len(layout) - 1)]
        attended = attended_sides(attention, size, sides)
        self.first = first_layer(condition_size, layout[0])
        self.blocks = nn.ModuleList()
        for (wide, narrow), side in zip(pairwise(layout), sides, strict=True):
            blocks: list[nn.Module] = [UpBlock(wide, wide, condition_size, double=False) for _ in range(depth - 1)]
            blocks += [UpBlock(wide, narrow, condition_size, double=True)]
            self.blocks.append(Conditioned(*blocks, *([SelfAttention(narrow)] if side in attended else [])))
        self.last = last_layer(layout[-1], channels)
        prepare([self.first, self.blocks, self.last], init, spectral)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(given(condition))], dim=1)
        hidden = self.first(z)
        for block in self.blocks:
            hidden = block(hidden, z)
        return self.last(hidden)


class Discriminator(nn.Module):
    """A convolution, bottleneck blocks, attention among them, ReLU, sum over positions and a linear layer.

    Labels enter by projection.

    Args:
        depth: blocks per multiplier, of which the first one may halve the resolution.
        width: unit of channels.
        multipliers: by size of the image: channels of the convolution and after every group of ``depth`` blocks, in
            that unit; they must not fall.
        halvings: by size of the image: how many groups, from the first, halve the resolution.
        attention: by size of the image: sides of the maps that attend to themselves.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether the network is given class labels.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the maps after every group,
    the last ones as they are summed.

    Raises:
        ValueError: a table has no entry for ``size``, or one that does not fit it.
    """

    requires = ("images",)

    def __init__(
        self,
        depth: PositiveInt,
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
        if any(wide < narrow for narrow, wide in pairwise(layout)):
            raise ValueError(f"multipliers.{size} must not fall, for shortcuts of this discriminator only add channels")
        sides = halved_sides(halvings, size, len(layout) - 1)
        attended = attended_sides(attention, size, list(dict.fromkeys(sides)))
        self.stem = nn.Conv2d(channels, layout[0], 3, 1, 1)
        self.blocks = nn.ModuleList()
        for (narrow, wide), (before, side) in zip(pairwise(layout), pairwise([size, *sides]), strict=True):
            halve = side < before
            blocks: list[nn.Module] = [DownBlock(narrow, wide, halve)]
            blocks += [DownBlock(wide, wide, halve=False) for _ in range(depth - 1)]
            self.blocks.append(nn.Sequential(*blocks, *([SelfAttention(wide)] if halve and side in attended else [])))
        self.head = Head(layout[-1], classes if conditional else 0)
        prepare([self], init, spectral)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return judge(self.blocks, self.head, self.stem(images), condition)


def _bottleneck(inputs: int, inner: int, outputs: int) -> nn.ModuleList:
    """1x1, 3x3, 3x3, 1x1."""
    return nn.ModuleList(
        [
            nn.Conv2d(inputs, inner, 1),
            nn.Conv2d(inner, inner, 3, 1, 1),
            nn.Conv2d(inner, inner, 3, 1, 1),
            nn.Conv2d(inner, outputs, 1),
        ]
    )
