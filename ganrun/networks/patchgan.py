"""PatchGAN (Isola et al., *Image-to-Image Translation with Conditional Adversarial Networks*, CVPR 2017)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.planes import planes as as_planes
from ganrun.networks.layers.spectral_norm import spectral_normalise


class Discriminator(nn.Module):
    """Scores overlapping patches; with 3 strided layers they are 70x70 pixels, without any they are single pixels.

    Args:
        width: channels after the first layer; they double at every further layer, up to 8 times.
        layers: strided layers of 4x4 convolutions; one layer with stride 1 and the scoring layer follow. 0: three 1x1
            convolutions, which see colours and no shapes.
        norm: normalisation of every layer but the first and the last; ``auto`` becomes ``batch``, or ``none`` where the
            loss takes gradients of single samples.
        spectral: whether all weights are spectrally normalised.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, C, H, W]`` -> scores ``[B, 1, H / 2^layers - 2, W / 2^layers - 2]``, or ``[B, 1, H, W]`` of single
    pixels; features: the activations of every hidden layer.

    Raises:
        ValueError: an image is too small for one whole score.
    """

    requires: tuple[str, ...] = ("images",)
    provides: tuple[str, ...] = ("patch_scores",)

    def __init__(
        self,
        width: PositiveInt,
        layers: NonNegativeInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        channels, *sides = shape
        least = 3 * 2**layers
        if min(sides) < least:
            raise ValueError(
                f"a PatchGAN with layers={layers} needs sides of at least {least} pixels; got {tuple(sides)}"
            )
        kernel, padding = (4, 1) if layers else (1, 0)
        widths = [channels, *(width * min(2**k, 8) for k in range(max(layers, 1) + 1))]
        self.blocks = nn.ModuleList()
        for index, (narrow, wide) in enumerate(pairwise(widths)):
            first, stride = index == 0, 2 if index < layers else 1
            # a bias before batch norm would be subtracted again
            convolution = nn.Conv2d(narrow, wide, kernel, stride, padding, bias=first or norm != "batch")
            normalise = nn.Identity() if first else norm_layer(norm, wide)
            self.blocks.append(nn.Sequential(convolution, normalise, nn.LeakyReLU(0.2, inplace=True)))
        self.head = nn.Conv2d(widths[-1], 1, kernel, 1, padding)
        normal_init(self)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = images
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden),), features=tuple(features))


class ConditionalDiscriminator(Discriminator):
    """Scores patches of an image together with what it was to be made from: pix2pix's ``D(x, y)``.

    Args:
        width: as of :class:`Discriminator`, like all but ``planes``.
        layers: strided layers.
        norm: normalisation.
        spectral: spectral normalisation.
        planes: channels of source images, or classes of label maps; they are put before the image's channels.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, C, H, W]`` with source images ``[B, K, H, W]`` or label maps ``[B, H, W]`` -> as there.
    """

    requires = ("images", "aligned")
    provides = ("patch_scores", "aligned_pairs")

    def __init__(
        self,
        width: PositiveInt,
        layers: NonNegativeInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        planes: int,
        shape: tuple[int, ...],
    ) -> None:
        channels, *sides = shape
        super().__init__(width, layers, norm, spectral, (planes + channels, *sides))
        self.planes = planes

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return super().forward(torch.cat([as_planes(condition, self.planes), images], dim=1))
