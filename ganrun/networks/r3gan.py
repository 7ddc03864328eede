"""R3GAN (Huang, Gokaslan, Kuleshov & Tompkin, *The GAN is dead; long live the GAN!*, NeurIPS 2024, arXiv 2501.05441).

Grouped residual blocks without normalisation, which are the identity in the beginning (section 3.3 and appendix).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import given
from ganrun.networks.layers.resample import Resample
from ganrun.networks.layers.sizes import for_size

_TAPS = (1, 2, 1)
_GAIN = math.sqrt(2 / (1 + 0.2**2))  # keeps the variance through a leaky ReLU of slope 0.2


def _scaled(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """Weights ~ N(0, gain² / fan-in)."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))
    return layer


class BiasedLeakyReLU(nn.Module):
    """A bias per channel, then leaky ReLU with slope 0.2.

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, hidden: Tensor) -> Tensor:
        return leaky_relu(hidden + self.bias.to(hidden.dtype)[:, None, None], 0.2)


class Block(nn.Module):
    """``x + C₃ a(C₂ a(C₁ x))``: 1x1 to twice the width, grouped 3x3, 1x1 back; C₃ starts at 0.

    Args:
        width: channels of input and output.
        group_width: channels of a group of C₂.
        gain: of the initial weights of C₁ and C₂.

    Raises:
        ValueError: ``group_width`` does not divide twice the width.
    """

    def __init__(self, width: int, group_width: int, gain: float) -> None:
        super().__init__()
        inner = 2 * width
        if inner % group_width:
            raise ValueError(f"group_width={group_width} does not divide the {inner} inner channels of a block")
        last = nn.Conv2d(inner, width, 1, bias=False)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(
            _scaled(nn.Conv2d(width, inner, 1, bias=False), gain),
            BiasedLeakyReLU(inner),
            _scaled(nn.Conv2d(inner, inner, 3, 1, 1, groups=inner // group_width, bias=False), gain),
            BiasedLeakyReLU(inner),
            last,
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.layers(hidden)


def _stages(widths: Sequence[int], blocks: int, group_width: int) -> list[nn.Sequential]:
    """``blocks`` residual blocks per resolution; the gain falls with their number (fix-up scaling)."""
    gain = _GAIN * (blocks * len(widths)) ** -0.25
    return [nn.Sequential(*(Block(width, group_width, gain) for _ in range(blocks))) for width in widths]


def _match(narrow: int, wide: int) -> list[nn.Module]:
    """A 1x1 convolution where the width changes."""
    return [] if narrow == wide else [_scaled(nn.Conv2d(narrow, wide, 1, bias=False))]


def _layout(widths: Mapping[str, Sequence[int]], size: int) -> Sequence[int]:
    layout = for_size(widths, size, "widths")
    if 4 * 2 ** (len(layout) - 1) != size:
        raise ValueError(f"{len(layout)} widths make {4 * 2 ** (len(layout) - 1)} pixels of 4; got {size}")
    return layout


class Generator(nn.Module):
    """A learned 4x4 basis weighted by a linear map of z, then stages of blocks with interpolation between them.

    The images are not bounded by a tanh.

    Args:
        latent_size: dimensions of z.
        widths: by size of the image: channels at 4x4, 8x8, ... and at the full resolution.
        blocks: residual blocks per resolution.
        group_width: channels of a group of the 3x3 convolutions.
        conditional: whether an embedding of class labels is appended to z.
        embedding_size: dimensions of that embedding.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``widths`` has no entry for ``size``, or one of another length than 4x4 has to be doubled;
            ``group_width`` does not divide twice a width.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Mapping[str, Sequence[PositiveInt]],
        blocks: PositiveInt,
        group_width: PositiveInt,
        conditional: bool,
        embedding_size: PositiveInt,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        layout = _layout(widths, size)
        self.embedding = _embedding(classes, embedding_size, 1.0) if conditional and classes else None
        inputs = latent_size + (embedding_size if self.embedding is not None else 0)
        self.basis = nn.Parameter(torch.randn(layout[0], 4, 4))
        self.weights = _scaled(nn.Linear(inputs, layout[0], bias=False))
        stages = _stages(layout, blocks, group_width)
        layers: list[nn.Module] = [stages[0]]
        for (wide, narrow), stage in zip(pairwise(layout), stages[1:], strict=True):
            layers += [*_match(wide, narrow), Resample(_TAPS, up=True), stage]
        self.layers = nn.Sequential(*layers, _scaled(nn.Conv2d(layout[-1], channels, 1, bias=False)))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(given(condition))], dim=1)
        return self.layers(self.basis * self.weights(z)[:, :, None, None])


class Discriminator(nn.Module):
    """The generator's mirror image: stages of blocks, a depth-wise 4x4 convolution, a linear layer.

    Args:
        widths: by size of the image: channels at 4x4, 8x8, ... and at the full resolution.
        blocks: residual blocks per resolution.
        group_width: channels of a group of the 3x3 convolutions.
        conditional: whether the score is an inner product with an embedding of class labels.
        embedding_size: dimensions of that embedding.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the maps after every stage.

    Raises:
        ValueError: as of the generator.
    """

    requires = ("images",)

    def __init__(
        self,
        widths: Mapping[str, Sequence[PositiveInt]],
        blocks: PositiveInt,
        group_width: PositiveInt,
        conditional: bool,
        embedding_size: PositiveInt,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        layout = list(reversed(_layout(widths, size)))
        stages = _stages(layout, blocks, group_width)
        self.stages = nn.ModuleList([nn.Sequential(_scaled(nn.Conv2d(channels, layout[0], 1, bias=False)), stages[0])])
        for (narrow, wide), stage in zip(pairwise(layout), stages[1:], strict=True):
            self.stages.append(nn.Sequential(Resample(_TAPS, up=False), *_match(narrow, wide), stage))
        self.collect = _scaled(nn.Conv2d(layout[-1], layout[-1], 4, groups=layout[-1], bias=False))
        is_conditional = conditional and classes
        self.head = _scaled(nn.Linear(layout[-1], embedding_size if is_conditional else 1, bias=False))
        self.embedding = _embedding(classes, embedding_size, embedding_size**-0.5) if is_conditional else None

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = images
        for stage in self.stages:
            hidden = stage(hidden)
            features.append(hidden)
        answer = self.head(self.collect(hidden).flatten(1))
        if self.embedding is not None:
            answer = (answer * self.embedding(given(condition))).sum(1, keepdim=True)
        return DiscriminatorOutput(scores=(answer.flatten(),), features=tuple(features))


def _embedding(classes: int, size: int, gain: float) -> nn.Embedding:
    """As the published code draws a linear layer on one-hot labels: N(0, gain² / classes)."""
    embedding = nn.Embedding(classes, size)
    nn.init.normal_(embedding.weight, 0.0, gain / math.sqrt(classes))
    return embedding
