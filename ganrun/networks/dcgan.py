"""DCGAN (Radford, Metz & Chintala, *Unsupervised Representation Learning with DCGANs*, ICLR 2016, arXiv 1511.06434).

Differs from the paper: 4x4 kernels and a narrower generator, as in the widely used reference implementation.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import Conditioned, Projection, append_planes, append_to_latent
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.minibatch import minibatch_layer
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.sizes import doublings
from ganrun.networks.layers.spectral_norm import spectral_normalise
from ganrun.networks.layers.virtual_batch_norm import ReferenceBatch


class Generator(nn.Module):
    """Transposed convolutions from a latent to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        width: channels at half the output resolution; they double towards the 4x4 end.
        norm: normalisation after every layer but the last; ``virtual``: by a fixed reference batch, which runs along
            in every pass.
        reference_size: samples of that batch.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
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
        norm: Literal["batch", "instance", "layer", "virtual", "none"],
        reference_size: PositiveInt,
        spectral: bool,
        init: Literal["normal", "orthogonal"],
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
        count = doublings(size, "DCGAN")
        widths = [width * 2**k for k in reversed(range(count))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size + self.appended, widths[0], 4, 1, 0, bias=False)]
        for narrow, wide in zip([*widths[1:], channels], widths, strict=True):
            layers += [norm_layer(norm, wide, normed, reference_size), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
        self.layers = Conditioned(*layers, nn.Tanh())
        self.reference = ReferenceBatch(reference_size, latent_size, classes) if norm == "virtual" else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.reference is not None:
            z, condition = self.reference.prepend(z, condition)
        images = self.layers(append_to_latent(z, condition, self.appended)[:, :, None, None], condition)
        return images if self.reference is None else self.reference.drop(images)


def trunk(channels: int, width: int, size: int, norm: str, bias: bool) -> tuple[nn.ModuleList, int]:
    """Strided convolutions from an image to 4x4, and the channels that come out of the last.

    Args:
        channels: of the image.
        width: channels after the first layer; they double at every halving of the resolution.
        size: side of the image in pixels, 4·2^k.
        norm: normalisation of every layer but the first.
        bias: whether the convolutions have biases.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """
    widths = [width * 2**k for k in range(doublings(size, "DCGAN"))]
    blocks = nn.ModuleList()
    for index, (narrow, wide) in enumerate(zip([channels, *widths], widths, strict=False)):
        convolution = nn.Conv2d(narrow, wide, 4, 2, 1, bias=bias)
        layers = [convolution] if index == 0 else [convolution, norm_layer(norm, wide)]
        blocks.append(nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True)))
    return blocks, widths[-1]


class Encoder(nn.Module):
    """The discriminator's convolutions, from an image to a latent.

    Args:
        latent_size: dimensions of z.
        width: channels after the first layer; they double at every halving of the resolution.
        norm: normalisation of every layer but the first and the last.
        init: how the weights are drawn.
        stochastic: whether the output is the mean and the logarithm of the variance of z, instead of z.
        conditional: whether class labels enter as constant planes of the image.
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> ``[B, latent_size]``, or twice as many.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        width: PositiveInt,
        norm: Literal["batch", "instance", "layer", "none"],
        init: Literal["normal", "orthogonal"],
        stochastic: bool,
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        blocks, top = trunk(channels + self.appended, width, size, norm, bias=False)
        self.layers = nn.Sequential(*blocks, nn.Conv2d(top, 2 * latent_size if stochastic else latent_size, 4, 1, 0))
        initialise(self, init)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_planes(images, condition, self.appended)).flatten(1)


class Discriminator(nn.Module):
    """Strided convolutions from an image to one raw score.

    Args:
        width: channels after the first layer; they double at every halving of the resolution.
        norm: normalisation of every layer but the first and the last. ``auto`` becomes ``batch``, or ``none`` when
            the loss takes gradients with respect to single samples or ``spectral`` is set.
        bias: whether the convolutions have biases; the published ones have none. Without biases and norm
            ``D(c x) = c D(x)``. ``auto`` becomes ``True`` where the loss forbids that, else ``False``.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn.
        minibatch: what the last layer sees of the other samples: nothing, minibatch discrimination, or the standard
            deviation of a group.
        minibatch_kernels: statistics per sample of ``discrimination``.
        minibatch_kernel_size: dimensions of each.
        minibatch_group: samples per group of ``stddev``.
        conditional: whether the network is given class labels.
        conditioning: how they enter: as constant planes of the image (``concat``), by an inner product of an embedding
            with the last features, summed over positions (``projection``), or not at all: a second head guesses them
            (``classifier``, AC-GAN).
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``; features: the activations of every hidden layer; class
    logits ``[B, classes]`` of ``classifier``.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        bias: bool | Literal["auto"],
        spectral: bool,
        init: Literal["normal", "orthogonal"],
        minibatch: Literal["none", "discrimination", "stddev"],
        minibatch_kernels: PositiveInt,
        minibatch_kernel_size: PositiveInt,
        minibatch_group: PositiveInt,
        conditional: bool,
        conditioning: Literal["concat", "projection", "classifier"],
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        if bias == "auto":
            raise ValueError("bias=auto was never resolved; choose true or false")
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        self.blocks, top = trunk(channels + self.appended, width, size, norm, bias)
        self.minibatch, wide = minibatch_layer(
            minibatch, top, 4 * 4, minibatch_kernels, minibatch_kernel_size, minibatch_group
        )
        self.head = nn.Conv2d(wide, 1, 4, 1, 0, bias=bias)
        self.projection = Projection(classes, top) if classes and conditioning == "projection" else None
        self.class_head = nn.Conv2d(wide, classes, 4, 1, 0) if classes and conditioning == "classifier" else None
        initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_planes(images, condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        judged = self.minibatch(hidden)
        score = self.head(judged).flatten()
        if self.projection is not None:
            score = score + self.projection(hidden, condition)
        logits = None if self.class_head is None else self.class_head(judged).flatten(1)
        return DiscriminatorOutput(scores=(score,), features=tuple(features), class_logits=logits)
