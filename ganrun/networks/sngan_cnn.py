"""SN-GAN's plain convolutional networks (Miyato et al., ICLR 2018, arXiv 1802.05957, table 3)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import Conditioned, Projection, append_planes, append_to_latent
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.spectral_norm import spectral_normalise
from ganrun.networks.layers.virtual_batch_norm import ReferenceBatch


def _eighth(size: int) -> int:
    if size < 8 or size % 8:
        raise ValueError(f"SN-GAN's convolutional networks need a size divisible by 8; got {size}")
    return size // 8


class Generator(nn.Module):
    """A linear layer, three transposed convolutions and a convolution, to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        width: channels at the full resolution; they double towards the other end, up to 8 times.
        norm: normalisation after every transposed convolution; ``virtual``: by a fixed reference batch, which runs
            along in every pass.
        reference_size: samples of that batch.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether the network is given class labels.
        conditioning: how they enter: appended to z (``concat``) or as gains and biases of the norm (``batch_norm``).
        size: side of the image in pixels, divisible by 8.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not divisible by 8; ``conditioning`` is ``batch_norm`` and ``norm`` is ``none``.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        width: PositiveInt,
        norm: Literal["batch", "instance", "layer", "virtual", "none"],
        reference_size: PositiveInt,
        spectral: bool,
        init: Literal["xavier", "normal", "orthogonal"],
        conditional: bool,
        conditioning: Literal["concat", "batch_norm"],
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        normed = classes if conditioning == "batch_norm" else 0
        side, widths = _eighth(size), [8 * width, 4 * width, 2 * width, width]
        layers: list[nn.Module] = [
            nn.Linear(latent_size + self.appended, widths[0] * side**2),
            nn.Unflatten(1, (widths[0], side, side)),
        ]
        for wide, narrow in pairwise(widths):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1)]
            layers += [norm_layer(norm, narrow, normed, reference_size), nn.ReLU(inplace=True)]
        self.layers = Conditioned(*layers, nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh())
        self.reference = ReferenceBatch(reference_size, latent_size, classes) if norm == "virtual" else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.reference is not None:
            z, condition = self.reference.prepend(z, condition)
        images = self.layers(append_to_latent(z, condition, self.appended), condition)
        return images if self.reference is None else self.reference.drop(images)


class Discriminator(nn.Module):
    """Seven convolutions, every second one strided, and a linear layer.

    Args:
        width: channels of the first two layers; they double at every halving of the resolution.
        norm: normalisation of every layer but the first. ``auto`` becomes ``batch``, or ``none`` when the loss takes
            gradients with respect to single samples or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
        conditional: whether the network is given class labels.
        conditioning: how they enter: as constant planes of the image (``concat``), by an inner product of an embedding
            with the last features, summed over positions (``projection``), or not at all: a second head guesses them
            (``classifier``).
        size: side of the image in pixels, divisible by 8.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``; features: the activations of every hidden layer; class
    logits ``[B, classes]`` of ``classifier``.

    Raises:
        ValueError: ``size`` is not divisible by 8.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        init: Literal["xavier", "normal", "orthogonal"],
        conditional: bool,
        conditioning: Literal["concat", "projection", "classifier"],
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        side = _eighth(size)
        widths = [channels + self.appended, *(width * factor for factor in (1, 1, 2, 2, 4, 4, 8))]
        self.blocks = nn.ModuleList()
        for index, (narrow, wide) in enumerate(pairwise(widths)):
            convolution = nn.Conv2d(narrow, wide, 4, 2, 1) if index % 2 else nn.Conv2d(narrow, wide, 3, 1, 1)
            normalise = norm_layer("none" if index == 0 else norm, wide)
            self.blocks.append(nn.Sequential(convolution, normalise, nn.LeakyReLU(0.1, inplace=True)))
        self.head = nn.Linear(widths[-1] * side**2, 1)
        self.projection = Projection(classes, widths[-1]) if classes and conditioning == "projection" else None
        is_classifier = classes and conditioning == "classifier"
        self.class_head = nn.Linear(widths[-1] * side**2, classes) if is_classifier else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_planes(images, condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        score = self.head(hidden.flatten(1)).flatten()
        if self.projection is not None:
            score = score + self.projection(hidden, condition)
        logits = None if self.class_head is None else self.class_head(hidden.flatten(1))
        return DiscriminatorOutput(scores=(score,), features=tuple(features), class_logits=logits)
