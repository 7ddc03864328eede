"""The networks of GauGAN (Park et al., *Semantic Image Synthesis with Spatially-Adaptive Normalization*, CVPR 2019).

arXiv 1903.07291; its discriminator is that of Wang et al., *High-Resolution Image Synthesis and Semantic Manipulation
with Conditional GANs*, CVPR 2018, with spectral normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

from ganrun.core.arguments import NonNegativeInt, Positive, PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.planes import planes as as_planes
from ganrun.networks.layers.spectral_norm import spectral_normalise

SLOPE = 0.2


class SpatialNorm(nn.Module):
    """SPADE: ``(1 + γ(m)) · x̂ + β(m)``, whose gains and biases are maps that two convolutions make of a layout m.

    Equation 1, with x̂ from a norm without parameters.

    Args:
        channels: of the input.
        planes: of the layout, which is brought to the input's size by taking the nearest pixel.
        hidden: channels between the convolutions.
        norm: ``batch`` or ``instance``.

    Shapes: ``[B, channels, h, w]`` and ``[B, planes, H, W]`` -> ``[B, channels, h, w]``.
    """

    def __init__(self, channels: int, planes: int, hidden: int, norm: str) -> None:
        super().__init__()
        self.planes = planes
        self.normalise = nn.BatchNorm2d(channels, affine=False) if norm == "batch" else nn.InstanceNorm2d(channels)
        self.shared = nn.Sequential(nn.Conv2d(planes, hidden, 3, 1, 1), nn.ReLU(inplace=True))
        self.gain = nn.Conv2d(hidden, channels, 3, 1, 1)
        self.bias = nn.Conv2d(hidden, channels, 3, 1, 1)

    def forward(self, hidden: Tensor, layout: Tensor) -> Tensor:
        height, width = hidden.shape[2:]
        seen = self.shared(as_planes(layout, self.planes, (height, width)))
        return (1 + self.gain(seen)) * self.normalise(hidden) + self.bias(seen)


class Block(nn.Module):
    """``s(x) + F(x)``, in which every convolution comes after SPADE and (but in the shortcut s) a LeakyReLU (figure 4).

    The shortcut is the identity where no channels are added or taken away.

    Args:
        narrow: channels of the input.
        wide: channels of the output.
        planes: of the layout.
        hidden: channels inside of SPADE.
        norm: of SPADE.
    """

    def __init__(self, narrow: int, wide: int, planes: int, hidden: int, norm: str) -> None:
        super().__init__()
        middle = min(narrow, wide)
        self.norms = nn.ModuleList(SpatialNorm(channels, planes, hidden, norm) for channels in (narrow, middle))
        self.convolutions = nn.ModuleList([nn.Conv2d(narrow, middle, 3, 1, 1), nn.Conv2d(middle, wide, 3, 1, 1)])
        self.learned = narrow != wide
        if self.learned:
            self.shortcut_norm = SpatialNorm(narrow, planes, hidden, norm)
            self.convolutions.append(nn.Conv2d(narrow, wide, 1, bias=False))

    def forward(self, hidden: Tensor, layout: Tensor) -> Tensor:
        first, second, *shortcut = self.convolutions
        residual = first(leaky_relu(self.norms[0](hidden, layout), SLOPE))
        residual = second(leaky_relu(self.norms[1](residual, layout), SLOPE))
        return (shortcut[0](self.shortcut_norm(hidden, layout)) if shortcut else hidden) + residual


class Generator(nn.Module):
    """Blocks with SPADE, all of which see the layout, at twice the resolution after each but one of the first; tanh.

    It begins with a style z, or without one with the layout, reduced to a few pixels. The convolutions of the blocks
    are spectrally normalised, those inside of SPADE are not. With several processes, batch norm takes the statistics of
    one, where the paper's are of all.

    Differs from the paper: weights are drawn from Glorot's uniform law, not from the normal one of the same variance.

    Args:
        width: channels at full resolution, of which the others are multiples.
        stages: multiples of ``width`` after the three first blocks, which have twice as many channels as the first of
            these; ``[8, 4, 2, 1]`` in the paper.
        upsampling: ``normal``; ``more``: one doubling more, between the second block and the third; ``most``: and a
            further stage of half of ``width`` at the end.
        hidden: channels inside of SPADE; 128 in the paper.
        norm: inside of SPADE.
        latent_size: dimensions of the style; 0: none.
        init_gain: factor on the initial weights.
        planes: channels of source images or classes of label maps.
        shape: shape of one image to be made, ``(channels, height, width)``.

    Attributes:
        multiple: what sides must be divisible by: 32, 64 or 128 with four stages.
        least: the smallest side that is surely large enough.

    Shapes: source images ``[B, K, H, W]`` or label maps ``[B, H, W]``, and ``[B, latent_size]`` -> ``[B, C, H, W]``.

    Raises:
        ValueError: the sides are not divisible by ``multiple``, or both equal to it, so that the first norm would see a
            single pixel.
    """

    requires = ("images", "aligned")

    def __init__(
        self,
        width: PositiveInt,
        stages: Sequence[PositiveInt],
        upsampling: Literal["normal", "more", "most"],
        hidden: PositiveInt,
        norm: Literal["batch", "instance"],
        latent_size: NonNegativeInt,
        init_gain: Positive,
        planes: int,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        channels, *sides = shape
        self.planes = planes
        self.latent_size = latent_size
        self.upsampling = upsampling
        widths = [multiple * width for multiple in stages] + ([width // 2] if upsampling == "most" else [])
        self.multiple = 2 ** (1 + len(widths) + (upsampling != "normal"))
        self.least = 2 * self.multiple
        if any(side % self.multiple for side in sides) or all(side == self.multiple for side in sides):
            raise ValueError(
                f"GauGAN with {len(stages)} stages and upsampling={upsampling} makes images whose sides are multiples "
                f"of {self.multiple}, at least one of them {self.least} or more; got {sides}"
            )
        head = 2 * widths[0]
        self.begin: nn.Module = nn.Conv2d(planes, head, 3, 1, 1)
        if latent_size:
            self.start = (head, *(side // self.multiple for side in sides))
            self.begin = nn.Linear(latent_size, torch.Size(self.start).numel())
        blocks = pairwise([head, head, head, head, *widths])
        self.blocks = nn.ModuleList(Block(one, other, planes, hidden, norm) for one, other in blocks)
        self.paint = nn.Conv2d(widths[-1], channels, 3, 1, 1)
        initialise(self, "xavier", init_gain)
        for block in self.blocks:
            spectral_normalise(block.convolutions)  # type: ignore[arg-type]

    def forward(self, condition: Tensor, z: Tensor | None = None) -> Tensor:
        layout = as_planes(condition, self.planes)
        hidden = self._begin(layout, z)
        for index, block in enumerate(self.blocks):
            if index == 1 or index > 2 or (index == 2 and self.upsampling != "normal"):
                hidden = interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = block(hidden, layout)
        return self.paint(leaky_relu(hidden, SLOPE)).tanh()

    def _begin(self, layout: Tensor, z: Tensor | None) -> Tensor:
        if not self.latent_size:
            height, width = (side // self.multiple for side in layout.shape[2:])
            return self.begin(as_planes(layout, self.planes, (height, width)))
        if z is None:
            raise ValueError("a generator with styles was given none")
        return self.begin(z).unflatten(1, self.start)


class Encoder(nn.Module):
    """Reads the style off an image (figure 14): strided 3x3 convolutions, spectrally and instance normalised.

    Args:
        width: channels after the first convolution.
        multipliers: of ``width``, after every convolution; ``[1, 2, 4, 8, 8, 8]`` in the paper.
        side: to which images are brought first; 256 in the paper.
        latent_size: dimensions of the style.
        init_gain: factor on the initial weights.
        channels: image channels.

    Shapes: ``[B, C, H, W]`` -> means and logarithms of variances, ``[B, 2 · latent_size]``.

    Raises:
        ValueError: ``side`` is no multiple of 2^n for n convolutions, or so small that one pixel is left.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        multipliers: Sequence[PositiveInt],
        side: PositiveInt,
        latent_size: PositiveInt,
        init_gain: Positive,
        channels: int,
    ) -> None:
        super().__init__()
        self.side = side
        last, remainder = divmod(side, 2 ** len(multipliers))
        if remainder or last < 2:
            raise ValueError(f"side={side} must be a multiple of {2 ** len(multipliers)}, and at least twice that")
        widths = [channels, *(multiple * width for multiple in multipliers)]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1, bias=False), nn.InstanceNorm2d(wide), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(widths[-1] * last**2, 2 * latent_size)
        initialise(self, "xavier", init_gain)
        spectral_normalise(self.layers)

    def forward(self, images: Tensor) -> Tensor:
        side = self.side
        if images.shape[2:] != (side, side):
            images = interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
        return self.head(self.layers(images))


class PatchCritic(nn.Module):
    """One scale: a PatchGAN whose convolutions are padded by 2, spectrally normalised but for the first and last.

    Args:
        channels: of the input.
        width: channels after the first layer; they double at every further layer, up to 8 times.
        layers: strided layers; one layer with stride 1 and the scoring layer follow.
        norm: normalisation of every layer but the first and the last.
    """

    def __init__(self, channels: int, width: int, layers: int, norm: str) -> None:
        super().__init__()
        widths = [channels, *(width * min(2**k, 8) for k in range(layers + 1))]
        self.blocks = nn.ModuleList()
        for index, (narrow, wide) in enumerate(pairwise(widths)):
            first = index == 0
            bias = first or norm == "none"  # a norm would subtract it again, or brings its own
            convolution = nn.Conv2d(narrow, wide, 4, 2 if index < layers else 1, 2, bias=bias)
            normalise = nn.Identity() if first else norm_layer(norm, wide)
            self.blocks.append(nn.Sequential(convolution, normalise, nn.LeakyReLU(SLOPE)))
        self.head = nn.Conv2d(widths[-1], 1, 4, 1, 2)

    def forward(self, hidden: Tensor) -> list[Tensor]:
        """Every layer's activations, and at last the scores."""
        outputs = []
        for block in (*self.blocks, self.head):
            hidden = block(hidden)
            outputs.append(hidden)
        return outputs


class Discriminator(nn.Module):
    """Scores patches of the layout and the image together, at several resolutions (Wang et al., section 3.2).

    Args:
        width: channels after the first layer.
        layers: strided layers per scale; one layer with stride 1 and the scoring layer follow.
        scales: each sees the input at half the resolution of the one before.
        norm: normalisation of every layer but the first and the last; no norm but ``layer`` has parameters.
        spectral: whether these layers are spectrally normalised.
        init_gain: factor on the initial weights.
        planes: channels of source images or classes of label maps.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, C, H, W]`` with source images ``[B, K, H, W]`` or label maps ``[B, H, W]`` -> a score map per scale,
    for 256 pixels ``[B, 1, 35, 35]`` and ``[B, 1, 19, 19]``; features: the activations of every hidden layer, scale by
    scale.
    """

    requires = ("images", "aligned")
    provides = ("patch_scores", "aligned_pairs")

    def __init__(
        self,
        width: PositiveInt,
        layers: PositiveInt,
        scales: PositiveInt,
        norm: Literal["instance", "layer", "none"],
        spectral: bool,
        init_gain: Positive,
        planes: int,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.planes = planes
        self.critics = nn.ModuleList(PatchCritic(planes + shape[0], width, layers, norm) for _ in range(scales))
        initialise(self, "xavier", init_gain)
        if spectral:
            for critic in self.critics:
                spectral_normalise(critic.blocks[1:])  # type: ignore[index, arg-type]

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        seen = torch.cat([as_planes(condition, self.planes), images], dim=1)
        scores, features = [], []
        for index, critic in enumerate(self.critics):
            if index:
                seen = avg_pool2d(seen, 3, 2, 1, count_include_pad=False)
            *hidden, score = critic(seen)
            scores.append(score)
            features += hidden
        return DiscriminatorOutput(scores=tuple(scores), features=tuple(features))
