"""Fully connected networks for images of any size and for 2-D points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import ConditionalNorm, Conditioned, Projection, append_to_latent
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.minibatch import minibatch_layer
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.spectral_norm import spectral_normalise
from ganrun.networks.layers.virtual_batch_norm import ReferenceBatch, VirtualBatchNorm


def _activation(name: str) -> nn.Module:
    return nn.LeakyReLU(0.2, inplace=True) if name == "leaky_relu" else nn.ReLU(inplace=True)


def _norm(norm: str, width: int, classes: int, reference: int) -> nn.Module:
    """A normalisation of ``[B, width]``, with gains and biases per class if there are ``classes``."""
    if norm == "none":
        return norm_layer(norm, width, classes)
    affine = not classes
    plain = nn.BatchNorm1d(width, affine=affine) if norm == "batch" else VirtualBatchNorm(width, reference, affine)
    return plain if affine else ConditionalNorm(plain, width, classes)


class Generator(nn.Module):
    """A latent through hidden layers to one sample.

    Args:
        latent_size: dimensions of z.
        widths: units of the hidden layers.
        norm: in every hidden layer but the first; ``virtual``: batch norm by a fixed reference batch, which runs along
            in every pass.
        reference_size: samples of that batch.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        activation: of the hidden layers.
        output: ``tanh`` for images in [-1, 1], ``linear`` for unbounded points.
        conditional: whether the network is given class labels.
        conditioning: how they enter: appended to z (``concat``) or as gains and biases of the norm (``batch_norm``).
        shape: shape of one sample, ``(channels, height, width)`` or ``(2,)``.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, *shape]``.

    Raises:
        ValueError: ``conditioning`` is ``batch_norm`` and no layer is normalised.
    """

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Sequence[PositiveInt],
        norm: Literal["batch", "virtual", "none"],
        reference_size: PositiveInt,
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        activation: Literal["relu", "leaky_relu"],
        output: Literal["tanh", "linear"],
        conditional: bool,
        conditioning: Literal["concat", "batch_norm"],
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        normed = classes if conditioning == "batch_norm" else 0
        self.shape = tuple(shape)
        if normed and len(widths) == 1:
            raise ValueError("conditioning=batch_norm needs a normalised layer: every hidden layer but the first")
        layers: list[nn.Module] = []
        for index, (narrow, wide) in enumerate(zip([latent_size + self.appended, *widths], widths, strict=False)):
            layers.append(nn.Linear(narrow, wide))
            if index > 0 and (norm != "none" or normed):
                layers.append(_norm(norm, wide, normed, reference_size))
            layers.append(_activation(activation))
        layers.append(nn.Linear(widths[-1], math.prod(shape)))
        if output == "tanh":
            layers.append(nn.Tanh())
        self.layers = Conditioned(*layers)
        self.reference = ReferenceBatch(reference_size, latent_size, classes) if norm == "virtual" else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.reference is not None:
            z, condition = self.reference.prepend(z, condition)
        samples = self.layers(append_to_latent(z, condition, self.appended), condition).unflatten(1, self.shape)
        return samples if self.reference is None else self.reference.drop(samples)


class Discriminator(nn.Module):
    """One sample through hidden layers to a raw score.

    Args:
        widths: units of the hidden layers.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``default``: as PyTorch does.
        activation: of the hidden layers.
        minibatch: what the last layer sees of the other samples: nothing, minibatch discrimination, or the standard
            deviation of a group.
        minibatch_kernels: statistics per sample of ``discrimination``.
        minibatch_kernel_size: dimensions of each.
        minibatch_group: samples per group of ``stddev``.
        conditional: whether the network is given class labels.
        conditioning: how they enter: appended to the sample (``concat``), by an inner product of an embedding with the
            last features (``projection``), or not at all: a second head guesses them (``classifier``, AC-GAN).
        shape: shape of one sample.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, *shape]`` (and ``[B]`` labels) -> scores ``[B]``; features: the activations of every hidden layer;
    class logits ``[B, classes]`` of ``classifier``.
    """

    def __init__(
        self,
        widths: Sequence[PositiveInt],
        spectral: bool,
        init: Literal["default", "normal", "orthogonal"],
        activation: Literal["relu", "leaky_relu"],
        minibatch: Literal["none", "discrimination", "stddev"],
        minibatch_kernels: PositiveInt,
        minibatch_kernel_size: PositiveInt,
        minibatch_group: PositiveInt,
        conditional: bool,
        conditioning: Literal["concat", "projection", "classifier"],
        shape: tuple[int, ...],
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        sizes = [math.prod(shape) + self.appended, *widths]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(narrow, wide), _activation(activation))
            for narrow, wide in zip(sizes, widths, strict=False)
        )
        self.minibatch, wide = minibatch_layer(
            minibatch, widths[-1], 1, minibatch_kernels, minibatch_kernel_size, minibatch_group
        )
        self.head = nn.Linear(wide, 1)
        self.projection = Projection(classes, widths[-1]) if classes and conditioning == "projection" else None
        self.class_head = nn.Linear(wide, classes) if classes and conditioning == "classifier" else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_to_latent(samples.flatten(1), condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        judged = self.minibatch(hidden)
        score = self.head(judged).flatten()
        if self.projection is not None:
            score = score + self.projection(hidden, condition)
        logits = None if self.class_head is None else self.class_head(judged)
        return DiscriminatorOutput(scores=(score,), features=tuple(features), class_logits=logits)
