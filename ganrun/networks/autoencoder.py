"""Discriminators whose score is the error of an autoencoder.

Zhao, Mathieu & LeCun, *Energy-based Generative Adversarial Network*, ICLR 2017, arXiv 1609.03126: the energy of x is
``E(x) = ‖Dec(Enc(x)) - x‖`` (section 2.3), low for real samples; the score is -E. Gradients flow through the
reconstruction and through x itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.core.tensors import exact
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import append_planes, append_to_latent
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer


def reconstruction_error(samples: Tensor, reconstruction: Tensor, energy: str) -> Tensor:
    """``mean_square`` or ``mean_absolute`` difference of a sample's numbers; ``norm``: its Euclidean norm.

    Shapes: ``[B, ...]`` twice -> ``[B]``.
    """
    difference = (exact(reconstruction) - exact(samples)).flatten(1)
    if energy == "norm":
        return torch.linalg.vector_norm(difference, dim=1)
    return (difference.square() if energy == "mean_square" else difference.abs()).mean(1)


class Discriminator(nn.Module):
    """Strided convolutions to a code, transposed ones back to an image.

    Differs from the paper: class labels, which it does not have, are given to the decoder.

    Args:
        width: channels after the first layer; they double at every halving of the resolution.
        layers: strided convolutions; 3 in the paper for 64 pixels.
        norm: normalisation of every layer but the first and the last. ``auto`` becomes ``batch``, or ``none`` when the
            loss takes gradients with respect to single samples.
        init_std: standard deviation of the initial weights.
        energy: ``mean_square`` or ``mean_absolute``: means over channels and pixels; ``norm``: Euclidean, which grows
            with the size. A margin is in these units.
        conditional: whether class labels enter the decoder as constant planes of the code.
        size: side of the image in pixels, divisible by 2^layers.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``, at most 0; features: the encoder's activations, the last of
    which is the code; reconstruction ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not divisible by 2^layers.
    """

    requires = ("images",)
    provides = ("energy",)

    def __init__(
        self,
        width: PositiveInt,
        layers: PositiveInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        init_std: Positive,
        energy: Literal["mean_square", "mean_absolute", "norm"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        if size % 2**layers:
            raise ValueError(f"an autoencoder with layers={layers} needs a size divisible by {2**layers}; got {size}")
        self.energy = energy
        self.appended = classes if conditional else 0
        widths = [width * 2**k for k in range(layers)]
        with_bias = norm != "batch"  # a bias before batch norm would be subtracted again
        self.encoder = nn.ModuleList()
        for index, (narrow, wide) in enumerate(pairwise([channels, *widths])):
            convolution = nn.Conv2d(narrow, wide, 4, 2, 1, bias=index == 0 or with_bias)
            normalise = norm_layer("none" if index == 0 else norm, wide)
            self.encoder.append(nn.Sequential(convolution, normalise, nn.LeakyReLU(0.2, inplace=True)))
        decoder: list[nn.Module] = []
        wide = widths[-1] + self.appended
        for narrow in reversed(widths[:-1]):
            decoder += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=with_bias), norm_layer(norm, narrow)]
            decoder += [nn.LeakyReLU(0.2, inplace=True)]
            wide = narrow
        self.decoder = nn.Sequential(*decoder, nn.ConvTranspose2d(wide, channels, 4, 2, 1))
        normal_init(self, init_std)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = images
        for block in self.encoder:
            hidden = block(hidden)
            features.append(hidden)
        reconstruction = self.decoder(append_planes(hidden, condition, self.appended))
        score = -reconstruction_error(images, reconstruction, self.energy)
        return DiscriminatorOutput(scores=(score,), features=tuple(features), reconstruction=reconstruction)


class DenseDiscriminator(nn.Module):
    """A fully connected autoencoder, for points and for images of any size.

    Args:
        widths: units of the encoder's layers, of which the last is the code; the decoder mirrors them.
        activation: of every layer but the output.
        energy: ``mean_square`` or ``mean_absolute``: means over a sample's numbers; ``norm``: Euclidean. A margin is in
            these units.
        conditional: whether class labels are appended to the code.
        shape: shape of one sample.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, *shape]`` -> scores ``[B]``, at most 0; features: the encoder's activations, the last of which is the
    code; reconstruction ``[B, *shape]``.
    """

    provides = ("energy",)

    def __init__(
        self,
        widths: Sequence[PositiveInt],
        activation: Literal["relu", "leaky_relu"],
        energy: Literal["mean_square", "mean_absolute", "norm"],
        conditional: bool,
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        self.energy = energy
        self.appended = classes if conditional else 0
        self.shape = tuple(shape)
        numbers = math.prod(shape)

        def layer(narrow: int, wide: int) -> nn.Module:
            return nn.Sequential(
                nn.Linear(narrow, wide),
                nn.LeakyReLU(0.2, inplace=True) if activation == "leaky_relu" else nn.ReLU(inplace=True),
            )

        self.encoder = nn.ModuleList(layer(narrow, wide) for narrow, wide in pairwise([numbers, *widths]))
        back = [widths[-1] + self.appended, *reversed(widths[:-1])]
        self.decoder = nn.Sequential(*(layer(wide, narrow) for wide, narrow in pairwise(back)))
        self.decoder.append(nn.Linear(back[-1], numbers))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = samples.flatten(1)
        for block in self.encoder:
            hidden = block(hidden)
            features.append(hidden)
        reconstruction = self.decoder(append_to_latent(hidden, condition, self.appended)).unflatten(1, self.shape)
        score = -reconstruction_error(samples, reconstruction, self.energy)
        return DiscriminatorOutput(scores=(score,), features=tuple(features), reconstruction=reconstruction)
