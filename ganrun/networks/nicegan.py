"""Networks of NICE-GAN (Chen et al., *Reusing Discriminators for Encoding*, CVPR 2020, arXiv 2003.00273, section 3).

A discriminator begins with an encoder, and the generator of the other domain decodes that encoder's code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, relu

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.instance_layer_norm import ILN, AdaLIN
from ganrun.networks.layers.spectral_norm import spectral_normalise

HEADS = ("local", "global", "cam")
"""What the scores of a discriminator are, in this order."""

HALVINGS = 2  # of an encoder; a generator doubles the resolution as often
SLOPE = 0.2


def _convolution(narrow: int, wide: int, stride: int) -> nn.Sequential:
    """4x4: half the side, or one pixel less."""
    layers = nn.ReflectionPad2d(1), nn.Conv2d(narrow, wide, 4, stride), nn.LeakyReLU(SLOPE, inplace=True)
    return nn.Sequential(*layers)


def _halvings(width: int, count: int) -> list[nn.Module]:
    return [_convolution(width * 2**k, width * 2 ** (k + 1), 2) for k in range(count)]


def _score_map(width: int) -> nn.Sequential:
    """Scores of overlapping patches, on a map two pixels smaller."""
    layers = nn.ReflectionPad2d(1), nn.Conv2d(2 * width, 1, 4, bias=False)
    return nn.Sequential(_convolution(width, 2 * width, 1), *layers)


class Attention(nn.Module):
    """``z = LReLU(λ · mix([w ⊙ h, w ⊙ h]) + h)``: residual attention by a class activation map (section 3.2).

    w is the weight of the linear classifier that tells real from fake by the average and the maximum of every channel;
    its score is trained as a third head. λ is learned and begins at 0.

    Differs from the published code where w is spectrally normalised: that code multiplies by the raw weight.

    Args:
        channels: of h.

    Shapes: ``[B, channels, H, W]`` -> z of the same shape and the classifier's score ``[B]``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(2 * channels, 1, bias=False)
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.classifier.weight
        score = linear(torch.cat([hidden.mean((2, 3)), hidden.amax((2, 3))], dim=1), weight)
        weighted = torch.cat([hidden, hidden], dim=1) * weight[0, :, None, None]
        return leaky_relu(self.strength * self.mix(weighted) + hidden, SLOPE), score.flatten()


class Encoder(nn.Module):
    """Two halvings, then attention.

    Args:
        width: channels after the first halving; the code has twice as many.
        channels: image channels.

    Shapes: ``[B, channels, H, W]`` -> code ``[B, 2·width, H / 4, W / 4]`` and the attention's score ``[B]``.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_convolution(channels, width, 2), *_halvings(width, HALVINGS - 1))
        self.attention = Attention(2 * width)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        code, score = self.attention(self.layers(images))
        return code, score


class Discriminator(nn.Module):
    """An encoder, and two heads that score patches of its code; with it, the encoder's attention is a third head.

    With the paper's depth the local head sees patches of 70 pixels, the global one of 286. One for small images has
    fewer halvings: ``local_halvings=0`` and ``global_halvings=1`` from 24 pixels on.

    Args:
        width: channels after the first convolution; they double at every further one.
        local_halvings: of the code, before either head; 1 in the paper.
        global_halvings: further ones before the global head; 2 in the paper.
        spectral: spectral normalisation of all weights but that of the attention's 1x1 convolution.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, C, H, W]`` -> scores ``[B, 1, H / 2^k - 2, W / 2^k - 2]`` for k = 2 + ``local_halvings`` and for
    k = 2 + ``local_halvings + global_halvings``, and ``[B]``; code ``[B, 2·width, H / 4, W / 4]``; features: the code
    and what the heads share.

    Raises:
        ValueError: an image is too small for one whole score.
    """

    requires = ("images",)
    provides = ("patch_scores",)

    def __init__(
        self,
        width: PositiveInt,
        local_halvings: NonNegativeInt,
        global_halvings: NonNegativeInt,
        spectral: bool,
        shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        channels, *sides = shape
        least = 3 * 2 ** (HALVINGS + local_halvings + global_halvings)
        if min(sides) < least:
            raise ValueError(
                f"a discriminator with local_halvings={local_halvings} and global_halvings={global_halvings} needs "
                f"sides of at least {least} pixels, got {tuple(sides)}; use fewer halvings for small images"
            )
        shared = 2 * width * 2**local_halvings
        deep = shared * 2**global_halvings
        self.encoder = Encoder(width, channels)
        self.shared = nn.Sequential(*_halvings(2 * width, local_halvings))
        self.local_head = _score_map(shared)
        self.global_head = nn.Sequential(*_halvings(shared, global_halvings), _score_map(deep))
        if spectral:
            for part in (self.encoder.layers, self.encoder.attention.classifier):
                spectral_normalise(part)
            for part in (self.shared, self.local_head, self.global_head):
                spectral_normalise(part)

    def forward(self, images: Tensor, condition: Tensor | None = None, judged: bool = True) -> DiscriminatorOutput:
        """Scores and code, or the code alone.

        Args:
            images: ``[B, C, H, W]``.
            condition: unused.
            judged: whether the heads are asked; a generator needs the code only.
        """
        code, cam = self.encoder(images)
        if not judged:
            return DiscriminatorOutput(scores=(), code=code)
        hidden = self.shared(code)
        scores = (self.local_head(hidden), self.global_head(hidden), cam)
        return DiscriminatorOutput(scores=scores, features=(code, hidden), code=code)


class Generator(nn.Module):
    """A decoder: residual blocks under AdaLIN, two doublings by pixel shuffling under ILN, tanh.

    The gains and biases of all AdaLIN layers come from the code by one perceptron: from its average over positions
    (``light``), or from all of its positions, which costs ``(H / 4 · W / 4 - 1) · 16 · width²`` more parameters and
    allows one size of images only.

    Args:
        code_width: ``width`` of the discriminators, whose code has twice as many channels.
        width: channels at full resolution; four times as many at a quarter of it.
        blocks: residual blocks.
        light: whether the code is averaged over positions.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: code ``[B, 2·code_width, H / 4, W / 4]`` -> ``[B, C, H, W]`` in [-1, 1].

    Raises:
        ValueError: height or width is not divisible by 4, or below 8 pixels.
    """

    requires = ("images",)

    def __init__(
        self, code_width: PositiveInt, width: PositiveInt, blocks: NonNegativeInt, light: bool, shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        channels, *sides = shape
        factor = 2**HALVINGS
        if any(side % factor or side < 2 * factor for side in sides):
            raise ValueError(f"NICE-GAN's generator needs sides divisible by 4 and at least 8; got {tuple(sides)}")
        if light:
            self.multiple, self.least = factor, 2 * factor  # of the sides of other images that it takes
        wide = factor * width
        positions = 1 if light else sides[0] // factor * (sides[1] // factor)
        self.light = light
        self.widen = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(2 * code_width, wide, 3), ILN(wide), nn.ReLU())
        self.style = nn.Sequential(
            nn.Linear(positions * wide, wide, bias=False), nn.ReLU(), nn.Linear(wide, wide, bias=False), nn.ReLU()
        )
        self.gain = nn.Linear(wide, wide, bias=False)
        self.bias = nn.Linear(wide, wide, bias=False)
        self.blocks = nn.ModuleList(AdaLINBlock(wide) for _ in range(blocks))
        doublings = [_doubling(wide // 2**k) for k in range(HALVINGS)]
        to_image = nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7, bias=False), nn.Tanh()
        self.grow = nn.Sequential(*doublings, *to_image)

    def forward(self, code: Tensor) -> Tensor:
        hidden = self.widen(code)
        style = self.style(hidden.mean((2, 3)) if self.light else hidden.flatten(1))
        gain, bias = self.gain(style), self.bias(style)
        for block in self.blocks:
            hidden = block(hidden, gain, bias)
        return self.grow(hidden)


class AdaLINBlock(nn.Module):
    """``x + F(x, γ, β)`` with two reflection-padded 3x3 convolutions, each under AdaLIN, and nothing after the sum.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)
        self.first = nn.Conv2d(channels, channels, 3, bias=False)
        self.first_norm = AdaLIN(channels)
        self.second = nn.Conv2d(channels, channels, 3, bias=False)
        self.second_norm = AdaLIN(channels)

    def forward(self, hidden: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        branch = relu(self.first_norm(self.first(self.pad(hidden)), gain, bias))
        return hidden + self.second_norm(self.second(self.pad(branch)), gain, bias)


def _doubling(channels: int) -> nn.Sequential:
    """Twice the side and half the channels."""
    half = channels // 2
    narrow = nn.ReflectionPad2d(1), nn.Conv2d(channels, half, 3, bias=False), ILN(half), nn.ReLU()
    shuffle = nn.Conv2d(half, 4 * half, 1), nn.PixelShuffle(2), ILN(half), nn.ReLU()
    return nn.Sequential(*narrow, *shuffle)
