"""StackGAN (Zhang et al., *StackGAN: Text to Photo-realistic Image Synthesis*, ICCV 2017, arXiv 1612.03242).

Texts are fixed vectors of length 1; each network projects them with a layer of its own. Before that they are brought
to a mean square of 1, so that the layer's output is of the same size whatever their dimensions are.

Differs from the published code: there is no ReLU on the mean and the log variance of the conditioning augmentation,
which would keep means from being negative and deviations from being below 1; and the discriminators have a projection
of the text of their own, as in the paper, where the code hands them the generator's mean.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.arguments import NonNegativeInt, PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.dcgan import trunk
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.sizes import doublings
from ganrun.networks.layers.spectral_norm import spectral_normalise

HALVINGS = 2  # of a sketch, before it is joined with the text


class Projection(nn.Module):
    """A linear layer on texts ``[B, text_size]``, vectors of length 1.

    Args:
        text_size: dimensions of a text.
        outputs: of the layer.
    """

    def __init__(self, text_size: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(text_size, outputs)
        self.scale = text_size**0.5

    def forward(self, texts: Tensor) -> Tensor:
        return self.layer(self.scale * texts)


def _narrowed(wide: int, narrow: int) -> list[nn.Module]:
    return [nn.Conv2d(wide, narrow, 3, 1, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU(inplace=True)]


def _to_image(widths: list[int], channels: int) -> list[nn.Module]:
    """Doublings of the resolution down to the last of ``widths``, and the image in [-1, 1]."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Upsample(scale_factor=2), *_narrowed(wide, narrow)]
    return [*layers, nn.Conv2d(widths[-1], channels, 3, 1, 1, bias=False), nn.Tanh()]


def _join(hidden: Tensor, condition: Tensor) -> Tensor:
    """``[B, C, H, W]`` and ``[B, n]`` -> ``[B, C + n, H, W]``: the condition at every position."""
    return torch.cat([hidden, condition[:, :, None, None].expand(-1, -1, *hidden.shape[2:])], dim=1)


class Generator(nn.Module):
    """Stage I: from a latent and a condition to a small image.

    ``augment`` maps texts to mean and log variance of the condition, ``[B, 2 · condition_size]``.

    Args:
        latent_size: dimensions of z.
        condition_size: dimensions of the condition.
        width: twice the channels at the full resolution; they double towards the 4x4 end.
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        text_size: dimensions of a text.

    Shapes: ``[B, latent_size]`` and ``[B, condition_size]`` -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not 4·2^k, or ``width`` is odd.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        condition_size: PositiveInt,
        width: PositiveInt,
        size: int,
        channels: int,
        text_size: int,
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"half of width are the channels at the full resolution; got {width}: choose an even one")
        widths = [width * 2**k // 2 for k in reversed(range(doublings(size, "StackGAN's stage I") + 1))]
        self.layers = nn.Sequential(
            nn.Linear(latent_size + condition_size, widths[0] * 4 * 4, bias=False),
            nn.BatchNorm1d(widths[0] * 4 * 4),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (widths[0], 4, 4)),
            *_to_image(widths, channels),
        )
        normal_init(self)
        self.augment = Projection(text_size, 2 * condition_size)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        return self.layers(torch.cat([z, condition], dim=1))


class Residual(nn.Module):
    """``relu(x + f(x))``; f: two 3x3 convolutions with batch norm.

    Args:
        width: channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.branch = nn.Sequential(*_narrowed(width, width), convolution, nn.BatchNorm2d(width))

    def forward(self, hidden: Tensor) -> Tensor:
        return (hidden + self.branch(hidden)).relu()


class Refiner(nn.Module):
    """Stage II: from the image of stage I, the sketch, and a condition to an image several times as large.

    ``augment`` is a conditioning augmentation of its own. There is no further latent.

    Args:
        condition_size: dimensions of the condition.
        width: channels at the sketch's resolution; four times as many where it is joined with the condition.
        blocks: residual blocks after that.
        sketch_size: side of the sketch in pixels, 4·2^k.
        size: side of the image in pixels, the sketch's times a power of 2.
        channels: image channels.
        text_size: dimensions of a text.

    Shapes: ``[B, channels, sketch_size, sketch_size]`` and ``[B, condition_size]`` -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``width`` cannot be halved often enough.
    """

    requires = ("images",)

    def __init__(
        self,
        condition_size: PositiveInt,
        width: PositiveInt,
        blocks: NonNegativeInt,
        sketch_size: int,
        size: int,
        channels: int,
        text_size: int,
    ) -> None:
        super().__init__()
        wide = width * 2**HALVINGS
        ups = (size // sketch_size).bit_length() - 1 + HALVINGS
        if wide % 2**ups:
            raise ValueError(f"width is halved {ups - HALVINGS} times; got {width}: choose one that can be")
        encoder: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.ReLU(inplace=True)]
        for index in range(HALVINGS):
            inputs, outputs = width * 2**index, width * 2 ** (index + 1)
            convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
            encoder += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.encoder = nn.Sequential(*encoder)
        self.layers = nn.Sequential(
            *_narrowed(wide + condition_size, wide),
            *(Residual(wide) for _ in range(blocks)),
            *_to_image([wide // 2**k for k in range(ups + 1)], channels),
        )
        normal_init(self)
        self.augment = Projection(text_size, 2 * condition_size)

    def forward(self, sketch: Tensor, condition: Tensor) -> Tensor:
        return self.layers(_join(self.encoder(sketch), condition))


class Discriminator(nn.Module):
    """Strided convolutions to 4x4, where a score of image and text is read off, and perhaps one of the image alone.

    Args:
        width: channels after the first layer; they double at every halving of the resolution.
        condition_size: dimensions that a text is compressed to.
        norm: normalisation of every layer but the first and the last. ``auto`` becomes ``batch``, or ``none`` (with
            biases instead) when the loss takes gradients with respect to single samples or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        narrowings: 3x3 convolutions at 4x4 that halve the channels: none in stage I.
        unconditional: whether there is a second head that does not see the text: in stage II.
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        text_size: dimensions of a text.

    Shapes: ``[B, channels, size, size]`` and texts ``[B, text_size]`` -> scores ``[B]``, that with the text first;
    features: the activations of every hidden layer below the heads.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)
    provides = ("conditional", "wrong_pairs")

    def __init__(
        self,
        width: PositiveInt,
        condition_size: PositiveInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        narrowings: NonNegativeInt,
        unconditional: bool,
        size: int,
        channels: int,
        text_size: int,
    ) -> None:
        super().__init__()
        bias = norm == "none"

        def hidden_layer(inputs: int, outputs: int) -> nn.Sequential:
            convolution = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=bias)
            return nn.Sequential(convolution, norm_layer(norm, outputs), nn.LeakyReLU(0.2, inplace=True))

        self.blocks, top = trunk(channels, width, size, norm, bias)
        for _ in range(narrowings):
            self.blocks.append(hidden_layer(top, top // 2))
            top //= 2
        self.head = nn.Sequential(hidden_layer(top + condition_size, top), nn.Conv2d(top, 1, 4))
        self.unconditional_head = nn.Conv2d(top, 1, 4) if unconditional else None
        normal_init(self)
        self.compress = nn.Sequential(Projection(text_size, condition_size), nn.LeakyReLU(0.2))
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, texts: Tensor) -> DiscriminatorOutput:
        features = []
        hidden = images
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        score = self.head(_join(hidden, self.compress(texts))).flatten()
        if self.unconditional_head is None:
            return DiscriminatorOutput((score,), tuple(features))
        alone = self.unconditional_head(hidden).flatten()
        return DiscriminatorOutput((score, alone), tuple(features), unconditional=1)
