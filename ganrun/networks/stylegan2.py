"""StyleGAN2 (Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020, arXiv 1912.04958).

Small settings and conditioning as in Karras et al., *Training Generative Adversarial Networks with Limited Data*,
NeurIPS 2020, arXiv 2006.06676. All of it is made of PyTorch's own convolutions.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from ganrun.core.arguments import Fraction, Positive, PositiveInt
from ganrun.core.tensors import exact, full_precision, one_hot
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import given
from ganrun.networks.layers.equalised import EqualisedConv2d, EqualisedLinear, leaky
from ganrun.networks.layers.minibatch import MinibatchStandardDeviation
from ganrun.networks.layers.resample import Blur, Resample
from ganrun.networks.layers.sizes import doublings

_TAPS = (1, 3, 3, 1)


def _widths(size: int, base_width: int, max_width: int) -> list[int]:
    """Channels at 4x4, 8x8, ... and at the full resolution: ``min(base_width / side, max_width)``.

    Raises:
        ValueError: ``size`` is not 4·2^k with k >= 1, or above ``base_width``.
    """
    sides = [4 * 2**k for k in range(doublings(size, "StyleGAN2") + 1)]
    if size > base_width:
        raise ValueError(f"base_width={base_width} leaves no channels at {size} pixels")
    return [min(base_width // side, max_width) for side in sides]


class Mapping(nn.Module):
    """Latents, labels or both to styles, in float32: the parts are normalised, joined, and go through dense layers.

    Args:
        latent_size: dimensions of the latents; 0: there are none.
        style_size: dimensions of the styles, of the hidden layers and of the embedding of labels.
        layers: number of dense layers.
        rate: their learning rate relative to that of the other layers.
        classes: number of classes; 0: there are no labels.

    Shapes: ``[B, latent_size]``, labels ``[B]`` -> ``[B, style_size]``.
    """

    def __init__(self, latent_size: int, style_size: int, layers: int, rate: float, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.embedding = EqualisedLinear(classes, style_size) if classes else None
        inputs = latent_size + (style_size if classes else 0)
        sizes = pairwise([inputs, *[style_size] * layers])
        self.layers = nn.ModuleList([EqualisedLinear(narrow, wide, rate=rate) for narrow, wide in sizes])

    def forward(self, z: Tensor | None, labels: Tensor | None = None) -> Tensor:
        with full_precision(next(self.parameters())):
            parts = [] if z is None else [_unit(exact(z))]
            if self.embedding is not None:
                parts.append(_unit(self.embedding(one_hot(given(labels), self.classes, self.embedding.weight.dtype))))
            hidden = torch.cat(parts, dim=1)
            for layer in self.layers:
                hidden = leaky(layer(hidden))
            return hidden


def _unit(vectors: Tensor) -> Tensor:
    """Scaled to a mean square of 1 over each vector."""
    return vectors * (vectors.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class ModulatedConv2d(nn.Module):
    """A convolution whose kernel is scaled per sample: ``w'_ijk = s_i w_ijk`` and, demodulated, ``w' / √Σ_ik w'²``.

    Equations 1 and 3; the style is ``s = A(w)``, 1 in the beginning. Instead of a kernel for each sample, the inputs
    are multiplied by s and the outputs divided by the norm (computed in float32), which is the same. On the CPU that
    is up to four times faster than a grouped convolution, it leaves the layout of maps alone, and its double backward
    is that of a plain convolution.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel_size: side of the kernel.
        style_size: dimensions of w.
        demodulate: whether the outputs of unit-variance inputs have unit variance again.
        up: whether to double the resolution: a transposed convolution, then the filter [1, 3, 3, 1].

    Shapes: ``[B, inputs, H, W]``, w ``[B, style_size]`` -> ``[B, outputs, H, W]`` or ``[B, outputs, 2 H, 2 W]``.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, style_size: int, demodulate: bool, up: bool = False
    ) -> None:
        super().__init__()
        self.style = EqualisedLinear(style_size, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.gain = 1 / math.sqrt(inputs * kernel_size**2)
        self.demodulate = demodulate
        self.blur = Blur(_TAPS, padding=1, gain=4.0) if up else None

    def forward(self, hidden: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w), self.weight * self.gain
        hidden = hidden * style.to(hidden.dtype)[:, :, None, None]
        if self.blur is not None:
            hidden = self.blur(conv_transpose2d(hidden, weight.transpose(0, 1), stride=2))
        else:
            hidden = conv2d(hidden, weight, padding=weight.shape[2] // 2)
        if self.demodulate:
            hidden = hidden * _inverse_norm(style, weight).to(hidden.dtype)[:, :, None, None]
        return hidden


def _inverse_norm(style: Tensor, weight: Tensor) -> Tensor:
    """``1 / √(Σ_ik (s_i w_ijk)² + 1e-8)`` in float32: ``[B, inputs]`` and a kernel -> ``[B, outputs]``."""
    with full_precision(weight):
        squares = exact(style).square() @ exact(weight).square().sum((2, 3)).T
        return (squares + 1e-8).rsqrt()


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise times a learned strength (0 in the beginning), bias, leaky ReLU.

    While training the noise is fresh; in evaluation it is always the same, so that images depend on styles alone.

    Args:
        inputs: channels in.
        outputs: channels out.
        side: of the output in pixels.
        style_size: dimensions of w.
        up: whether to double the resolution.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, side: int, style_size: int, up: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, outputs, 3, style_size, demodulate=True, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, hidden: Tensor, w: Tensor) -> Tensor:
        hidden = self.convolution(hidden, w)
        noise = torch.randn_like(hidden[:, :1]) if self.training else self.noise.to(hidden.dtype)
        return leaky(hidden + noise * self.strength + self.bias.to(hidden.dtype)[:, None, None])


class ToImage(nn.Module):
    """Modulated 1x1 convolution without demodulation, and a bias.

    Args:
        inputs: channels in.
        channels: of the image.
        style_size: dimensions of w.
    """

    def __init__(self, inputs: int, channels: int, style_size: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, channels, 1, style_size, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, hidden: Tensor, w: Tensor) -> Tensor:
        return exact(self.convolution(hidden, w)) + exact(self.bias)[:, None, None]


class Generator(nn.Module):
    """A mapping network from z to w, and a synthesis network that w steers at every layer.

    A learned 4x4 constant, two layers per resolution, and images that are summed over the resolutions (in float32). The
    images are not bounded by a tanh. While training, styles are mixed: behind a random layer, with probability
    ``style_mixing`` for each sample, come those of a second latent from N(0, I). In evaluation styles are drawn towards
    their mean, ``w̄ + ψ (w - w̄)``, where ψ is the attribute ``psi``, 1 unless set.

    Differs from the published code: styles are mixed sample by sample, not at one layer for the whole batch.

    Args:
        latent_size: dimensions of z.
        style_size: dimensions of w.
        mapping_layers: dense layers from z to w.
        mapping_rate: their learning rate relative to that of the other layers.
        base_width: channels at a resolution times its side, where that is below ``max_width``.
        max_width: the most channels of a layer.
        style_mixing: probability of mixing.
        mean_decay: of the running mean w̄ per training batch.
        conditional: whether an embedding of class labels is appended to z.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: z ``[B, latent_size]`` or styles ``[B, styles, style_size]`` of one's own making (and ``[B]`` labels, which
    only z needs) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not 4·2^k with k >= 1, or above ``base_width``.
    """

    requires = ("images", "normal_latents")
    provides = ("styles",)

    style_mean: Tensor

    def __init__(
        self,
        latent_size: PositiveInt,
        style_size: PositiveInt,
        mapping_layers: PositiveInt,
        mapping_rate: Positive,
        base_width: PositiveInt,
        max_width: PositiveInt,
        style_mixing: Fraction,
        mean_decay: Annotated[float, ">= 0", "< 1"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        widths = _widths(size, base_width, max_width)
        self.latent_size = latent_size
        self.style_count = 2 * len(widths)
        self.style_mixing = style_mixing
        self.mean_decay = mean_decay
        self.psi = 1.0
        self.mapping = Mapping(latent_size, style_size, mapping_layers, mapping_rate, classes if conditional else 0)
        self.register_buffer("style_mean", torch.zeros(style_size))
        self.constant = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.first = SynthesisLayer(widths[0], widths[0], 4, style_size, up=False)
        self.layers = nn.ModuleList()
        for k, (wide, narrow) in enumerate(pairwise(widths), start=1):
            self.layers.append(SynthesisLayer(wide, narrow, 4 * 2**k, style_size, up=True))
            self.layers.append(SynthesisLayer(narrow, narrow, 4 * 2**k, style_size, up=False))
        self.to_image = nn.ModuleList([ToImage(width, channels, style_size) for width in widths])
        self.up = Resample(_TAPS, up=True)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.synthesis(z if z.ndim == 3 else self.styles(z, condition))

    def styles(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """The style of every layer, ``[B, styles, style_size]``: mixed while training, drawn to the mean otherwise."""
        w = self.mapping(z, condition)
        if self.training:
            self.style_mean.lerp_(w.detach().mean(0), 1 - self.mean_decay)
        else:
            w = self.style_mean.lerp(w, self.psi)
        styles = w[:, None].expand(-1, self.style_count, -1)
        if self.training and self.style_mixing:
            second = self.mapping(torch.randn_like(z), condition)
            styles = torch.where(self._is_first(len(z), z.device), styles, second[:, None])
        return styles

    def _is_first(self, count: int, device: torch.device) -> Tensor:
        """Which layers keep the first latent's style: up to a layer from 1 on where styles are mixed, or all."""
        crossover = torch.randint(1, self.style_count, (count, 1, 1), device=device)
        mixed = torch.rand(count, 1, 1, device=device) < self.style_mixing
        return ~mixed | (torch.arange(self.style_count, device=device)[:, None] < crossover)

    def synthesis(self, styles: Tensor) -> Tensor:
        """Images of the styles of every layer; that of a ``to_image`` is also that of the next resolution's first."""
        w = styles.unbind(1)
        count = styles.shape[0]  # len() would be a constant in an exported graph
        hidden = self.first(self.constant.expand(count, -1, -1, -1), w[0])
        image = self.to_image[0](hidden, w[1])
        for k, to_image in enumerate(self.to_image[1:]):
            hidden = self.layers[2 * k](hidden, w[2 * k + 1])
            hidden = self.layers[2 * k + 1](hidden, w[2 * k + 2])
            with full_precision(image):
                image = self.up(image)
            image = image + to_image(hidden, w[2 * k + 3])
        return image


class Block(nn.Module):
    """Two 3x3 convolutions with leaky ReLU, the second of which halves the resolution behind a filter.

    Args:
        narrow: channels in.
        wide: channels out.
        residual: whether a filtered 1x1 shortcut joins in: ``(branch + shortcut) / √2``.
    """

    def __init__(self, narrow: int, wide: int, residual: bool) -> None:
        super().__init__()
        self.first = EqualisedConv2d(narrow, narrow, 3)
        self.blur = Blur(_TAPS, padding=2, gain=1.0)
        self.second = EqualisedConv2d(narrow, wide, 3, stride=2)
        self.shortcut = (
            nn.Sequential(Resample(_TAPS, up=False), EqualisedConv2d(narrow, wide, 1, bias=False)) if residual else None
        )

    def forward(self, hidden: Tensor) -> Tensor:
        branch = leaky(self.second(self.blur(leaky(self.first(hidden)))))
        return branch if self.shortcut is None else (branch + self.shortcut(hidden)) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Blocks that halve the resolution down to 4x4, minibatch standard deviation, 3x3, two dense layers.

    Conditional, the score is ``⟨φ(x), m(y)⟩ / √dim`` with a mapping network m of the labels.

    Args:
        base_width: channels at a resolution times its side, where that is below ``max_width``.
        max_width: the most channels of a layer.
        residual: whether blocks have shortcuts.
        minibatch: ``stddev``: the last convolution sees how much a group of samples varies.
        minibatch_group: samples of such a group.
        mapping_layers: dense layers of m.
        mapping_rate: their learning rate relative to that of the other layers.
        conditional: whether the score depends on class labels.
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` (and ``[B]`` labels) -> scores ``[B]``; features: the maps after every block.

    Raises:
        ValueError: as of the generator.
    """

    requires = ("images",)

    def __init__(
        self,
        base_width: PositiveInt,
        max_width: PositiveInt,
        residual: bool,
        minibatch: Literal["stddev", "none"],
        minibatch_group: PositiveInt,
        mapping_layers: PositiveInt,
        mapping_rate: Positive,
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        widths = _widths(size, base_width, max_width)[::-1]
        last = widths[-1]
        self.from_image = EqualisedConv2d(channels, widths[0], 1)
        self.blocks = nn.ModuleList([Block(narrow, wide, residual) for narrow, wide in pairwise(widths)])
        with_stddev = minibatch == "stddev"
        self.minibatch = MinibatchStandardDeviation(minibatch_group) if with_stddev else nn.Identity()
        self.convolution = EqualisedConv2d(last + with_stddev, last, 3)
        self.dense = EqualisedLinear(16 * last, last)
        self.mapping = Mapping(0, last, mapping_layers, mapping_rate, classes) if conditional and classes else None
        self.head = EqualisedLinear(last, 1 if self.mapping is None else last)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        hidden = leaky(self.from_image(images))
        features = []
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        hidden = leaky(self.convolution(self.minibatch(hidden)))
        answer = self.head(leaky(self.dense(hidden.flatten(1))))
        if self.mapping is not None:
            answer = (exact(answer) * self.mapping(None, condition)).sum(1) / math.sqrt(answer.shape[1])
        return DiscriminatorOutput(scores=(answer.flatten(),), features=tuple(features))
