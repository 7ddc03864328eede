"""A residual recipe without strided or transposed convolutions (Mescheder, Geiger & Nowozin, ICML 2018).

*Which Training Methods for GANs do actually Converge?*, arXiv 1801.04406: average pooling down, interpolation up, and
residual branches that are scaled down, ``y = x + α f(x)`` with α = 0.1, without which it hardly trains.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from ganrun.core.arguments import Positive, PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import Conditioned, Projection, append_planes, append_to_latent
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.sizes import doublings
from ganrun.networks.layers.spectral_norm import spectral_normalise

Activation = Literal["relu", "leaky_relu"]


def _activation(name: str) -> nn.Module:
    return nn.LeakyReLU(0.2) if name == "leaky_relu" else nn.ReLU()


def _norm(norm: str, channels: int, classes: int = 0) -> nn.Module:
    """Like :func:`norm_layer`, but instance norm is affine too."""
    if norm == "instance" and not classes:
        return nn.InstanceNorm2d(channels, affine=True)
    return norm_layer(norm, channels, classes)


class Block(nn.Module):
    """``shortcut(x) + α f(x)``; f: twice norm, activation, 3x3, with the narrower width between them.

    Args:
        narrow: channels of the input.
        wide: channels of the output; where they differ, the shortcut is a 1x1 convolution without bias.
        norm: name of the normalisation.
        classes: classes with gains and biases of their own; 0: none.
        activation: name of the activation.
        scale: α.
        learned: whether α is a parameter that starts there.
    """

    takes_labels = True

    def __init__(
        self, narrow: int, wide: int, norm: str, classes: int, activation: str, scale: float, learned: bool
    ) -> None:
        super().__init__()
        hidden = min(narrow, wide)
        self.branch = Conditioned(
            _norm(norm, narrow, classes),
            _activation(activation),
            nn.Conv2d(narrow, hidden, 3, 1, 1),
            _norm(norm, hidden, classes),
            _activation(activation),
            nn.Conv2d(hidden, wide, 3, 1, 1),
        )
        self.shortcut = nn.Identity() if narrow == wide else nn.Conv2d(narrow, wide, 1, bias=False)
        self.scale = nn.Parameter(torch.tensor(float(scale))) if learned else scale

    def forward(self, hidden: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.shortcut(hidden) + self.scale * self.branch(hidden, labels)


class _Up(nn.Module):
    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, hidden: Tensor) -> Tensor:
        return interpolate(hidden, scale_factor=2, mode=self.mode)


class Generator(nn.Module):
    """A linear layer, residual blocks with interpolation between them, and a convolution, to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        width: channels at the full resolution; they double towards the 4x4 end.
        max_width: most channels.
        norm: normalisation before every activation of a block.
        activation: of the hidden layers; the paper's code has ``leaky_relu``.
        residual_scale: α.
        learned_scale: whether every block learns its α, from there.
        upsampling: how maps are interpolated.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether the network is given class labels.
        conditioning: how they enter: appended to z (``concat``) or as gains and biases of the norm (``batch_norm``).
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not 4·2^k; ``conditioning`` is ``batch_norm`` and ``norm`` is ``none``.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        width: PositiveInt,
        max_width: PositiveInt,
        norm: Literal["batch", "instance", "none"],
        activation: Literal["relu", "leaky_relu"],
        residual_scale: Positive,
        learned_scale: bool,
        upsampling: Literal["nearest", "bilinear"],
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
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
        widths = [min(width * 2**k, max_width) for k in reversed(range(doublings(size, "the residual recipe") + 1))]
        settings = (norm, normed, activation, residual_scale, learned_scale)
        layers: list[nn.Module] = [
            nn.Linear(latent_size + self.appended, widths[0] * 4 * 4),
            nn.Unflatten(1, (widths[0], 4, 4)),
        ]
        for wide, narrow in pairwise(widths):
            layers += [Block(wide, narrow, *settings), _Up(upsampling)]
        layers += [Block(widths[-1], widths[-1], *settings), _activation(activation)]
        self.layers = Conditioned(*layers, nn.Conv2d(widths[-1], channels, 3, 1, 1), nn.Tanh())
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.appended), condition)


class Discriminator(nn.Module):
    """A convolution, residual blocks with average pooling between them, and a linear layer.

    Args:
        width: channels at the full resolution; they double at every halving.
        max_width: most channels; the paper's code allows 1024.
        norm: normalisation before every activation of a block. ``auto`` becomes ``batch``, or ``none`` when the loss
            takes gradients with respect to single samples or ``spectral`` is set.
        activation: of the hidden layers; the paper's code has ``leaky_relu``.
        residual_scale: α.
        learned_scale: whether every block learns its α, from there.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        conditional: whether the network is given class labels.
        conditioning: how they enter: as constant planes of the image (``concat``), by an inner product of an embedding
            with the last features, summed over positions (``projection``), or not at all: a second head guesses them
            (``classifier``).
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``; features: the maps after every block, the last one as the
    linear layer sees it; class logits ``[B, classes]`` of ``classifier``.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        max_width: PositiveInt,
        norm: Literal["auto", "batch", "instance", "none"],
        activation: Literal["relu", "leaky_relu"],
        residual_scale: Positive,
        learned_scale: bool,
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        conditional: bool,
        conditioning: Literal["concat", "projection", "classifier"],
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        widths = [min(width * 2**k, max_width) for k in range(doublings(size, "the residual recipe") + 1)]
        settings = (norm, 0, activation, residual_scale, learned_scale)
        self.stem = nn.Conv2d(channels + self.appended, width, 3, 1, 1)
        self.blocks = nn.ModuleList(Block(narrow, wide, *settings) for narrow, wide in pairwise([widths[0], *widths]))
        self.activation = _activation(activation)
        self.head = nn.Linear(widths[-1] * 4 * 4, 1)
        self.projection = Projection(classes, widths[-1]) if classes and conditioning == "projection" else None
        is_classifier = classes and conditioning == "classifier"
        self.class_head = nn.Linear(widths[-1] * 4 * 4, classes) if is_classifier else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = self.stem(append_planes(images, condition, self.appended))
        for index, block in enumerate(self.blocks):
            hidden = block(hidden if index == 0 else avg_pool2d(hidden, 3, 2, 1))
            features.append(hidden)
        features[-1] = self.activation(hidden)
        flat = features[-1].flatten(1)
        score = self.head(flat).flatten()
        if self.projection is not None:
            score = score + self.projection(features[-1], condition)
        logits = None if self.class_head is None else self.class_head(flat)
        return DiscriminatorOutput(scores=(score,), features=tuple(features), class_logits=logits)
