"""The residual networks of WGAN-GP and SN-GAN.

Gulrajani et al., *Improved Training of Wasserstein GANs*, NeurIPS 2017, arXiv 1704.00028 (appendices C and F); Miyato
et al., *Spectral Normalization for GANs*, ICLR 2018, arXiv 1802.05957 (appendix B.4); conditional: Miyato & Koyama,
*cGANs with Projection Discriminator*, ICLR 2018, arXiv 1802.05637. Both published codes draw the weights by Glorot &
Bengio's uniform law, with gain √2 in the 3x3 convolutions of the residual branches (called He's in the first).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import Conditioned, Projection, append_planes, append_to_latent
from ganrun.networks.layers.init import initialise
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.sizes import for_size
from ganrun.networks.layers.spectral_norm import spectral_normalise
from ganrun.networks.layers.virtual_batch_norm import ReferenceBatch


class UpBlock(nn.Module):
    """Norm, ReLU, nearest x2, 3x3, norm, ReLU, 3x3, and a shortcut of nearest x2, 1x1.

    Args:
        narrow: channels of the input.
        wide: channels of the output.
        norms: normalisations of ``narrow`` and of ``wide`` channels.
        hidden_bias: whether the first convolution has a bias.
    """

    takes_labels = True

    def __init__(self, narrow: int, wide: int, norms: tuple[nn.Module, nn.Module], hidden_bias: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = Conditioned(norms[0]), Conditioned(norms[1])
        self.branch = nn.ModuleList(
            [nn.Conv2d(narrow, wide, 3, 1, 1, bias=hidden_bias), nn.Conv2d(wide, wide, 3, 1, 1)]
        )
        self.shortcut = nn.Conv2d(narrow, wide, 1)

    def forward(self, hidden: Tensor, labels: Tensor | None = None) -> Tensor:
        branch = self.branch[0](interpolate(relu(self.norm1(hidden, labels)), scale_factor=2))
        branch = self.branch[1](relu(self.norm2(branch, labels)))
        # a 1x1 convolution and nearest neighbours commute: this order is cheaper
        return branch + interpolate(self.shortcut(hidden), scale_factor=2)


class FirstBlock(nn.Module):
    """3x3, ReLU, 3x3, pool, and a shortcut of pool, 1x1: it begins with the image, which no ReLU may cut.

    Args:
        narrow: channels of the input.
        wide: channels of the output.
    """

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.branch = nn.ModuleList([nn.Conv2d(narrow, wide, 3, 1, 1), nn.Conv2d(wide, wide, 3, 1, 1)])
        self.shortcut = nn.Conv2d(narrow, wide, 1)

    def forward(self, images: Tensor) -> Tensor:
        branch = self.branch[1](relu(self.branch[0](images)))
        return avg_pool2d(branch, 2) + self.shortcut(avg_pool2d(images, 2))


class Block(nn.Module):
    """Norm, ReLU, 3x3, norm, ReLU, 3x3 and, where it halves, pool.

    The shortcut is the identity where nothing changes, else 1x1 and pool.

    Args:
        narrow: channels of the input.
        hidden: channels between the convolutions.
        wide: channels of the output.
        norm: name of the normalisation.
        hidden_bias: whether the first convolution has a bias.
        halve: whether the resolution is halved.
    """

    def __init__(self, narrow: int, hidden: int, wide: int, norm: str, hidden_bias: bool, halve: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm_layer(norm, narrow), norm_layer(norm, hidden)
        self.branch = nn.ModuleList(
            [nn.Conv2d(narrow, hidden, 3, 1, 1, bias=hidden_bias), nn.Conv2d(hidden, wide, 3, 1, 1)]
        )
        self.shortcut = nn.Conv2d(narrow, wide, 1) if halve or narrow != wide else nn.Identity()
        self.pool = nn.AvgPool2d(2) if halve else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        branch = self.branch[0](relu(self.norm1(hidden)))
        branch = self.branch[1](relu(self.norm2(branch)))
        # a 1x1 convolution and a mean commute: this order is cheaper
        return self.pool(branch) + self.shortcut(self.pool(hidden))


def _initialise(network: nn.Module, init: str) -> None:
    initialise(network, init)
    if init == "xavier":
        for module in network.modules():
            if isinstance(module, UpBlock | FirstBlock | Block):
                initialise(module.branch, init, gain=math.sqrt(2))


class Generator(nn.Module):
    """A linear layer, residual blocks that double the resolution, and a convolution, to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        widths: by size of the image: channels at 4x4, 8x8, ... and at the full resolution.
        norm: normalisation before every ReLU; ``virtual``: by a fixed reference batch, which runs along in every pass.
        reference_size: samples of that batch.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``xavier`` is the published one.
        hidden_bias: whether the first convolution of a block has a bias.
        conditional: whether the network is given class labels.
        conditioning: how they enter: appended to z (``concat``) or as gains and biases of the blocks' norms
            (``batch_norm``).
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``widths`` has no entry for ``size``, or one of another length than 4x4 has to be doubled;
            ``conditioning`` is ``batch_norm`` and ``norm`` is ``none``.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        widths: Mapping[str, Sequence[PositiveInt]],
        norm: Literal["batch", "instance", "layer", "virtual", "none"],
        reference_size: PositiveInt,
        spectral: bool,
        init: Literal["xavier", "normal", "orthogonal"],
        hidden_bias: bool,
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
        layout = for_size(widths, size, "widths")
        if 4 * 2 ** (len(layout) - 1) != size:
            raise ValueError(f"{len(layout)} widths make {4 * 2 ** (len(layout) - 1)} pixels of 4; got {size}")
        blocks = []
        for narrow, wide in pairwise(layout):
            norms = (norm_layer(norm, narrow, normed, reference_size), norm_layer(norm, wide, normed, reference_size))
            blocks.append(UpBlock(narrow, wide, norms, hidden_bias))
        self.layers = Conditioned(
            nn.Linear(latent_size + self.appended, layout[0] * 4 * 4),
            nn.Unflatten(1, (layout[0], 4, 4)),
            *blocks,
            norm_layer(norm, layout[-1], reference=reference_size),
            nn.ReLU(inplace=True),
            nn.Conv2d(layout[-1], channels, 3, 1, 1),
            nn.Tanh(),
        )
        self.reference = ReferenceBatch(reference_size, latent_size, classes) if norm == "virtual" else None
        _initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.reference is not None:
            z, condition = self.reference.prepend(z, condition)
        images = self.layers(append_to_latent(z, condition, self.appended), condition)
        return images if self.reference is None else self.reference.drop(images)


class Discriminator(nn.Module):
    """Residual blocks, of which the first ones halve the resolution, and a linear layer.

    Args:
        widths: by size of the image: channels after the stem and after every block.
        halvings: by size of the image: how many layers halve the resolution, counted from the first block.
        stem: what begins: a block that halves (``block``) or a single convolution that does not (``convolution``).
        norm: normalisation before every ReLU of the blocks after the stem. ``auto`` becomes ``batch``, or ``none`` when
            the loss takes gradients with respect to single samples or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        init: how the weights are drawn; ``xavier`` is the published one.
        hidden_bias: whether the first convolution of a block after the stem has a bias.
        pooling: how maps become a vector: ReLU and ``sum`` or ``mean`` over positions, or ``flatten`` without ReLU.
        head_bias: whether the score has a bias.
        conditional: whether the network is given class labels.
        conditioning: how they enter: as constant planes of the image (``concat``), by an inner product of an embedding
            with the pooled features (``projection``), or not at all: a second head guesses them (``classifier``).
        size: side of the image in pixels.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``; features: the maps after the stem and every block, the last
    one as it is pooled; class logits ``[B, classes]`` of ``classifier``.

    Raises:
        ValueError: ``widths`` or ``halvings`` has no entry for ``size``; there are fewer blocks than halvings, or
            ``size`` cannot be halved as often.
    """

    requires = ("images",)

    def __init__(
        self,
        widths: Mapping[str, Sequence[PositiveInt]],
        halvings: Mapping[str, PositiveInt],
        stem: Literal["block", "convolution"],
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        init: Literal["xavier", "normal", "orthogonal"],
        hidden_bias: bool,
        pooling: Literal["sum", "mean", "flatten"],
        head_bias: bool,
        conditional: bool,
        conditioning: Literal["concat", "projection", "classifier"],
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        classes = classes if conditional else 0
        self.appended = classes if conditioning == "concat" else 0
        self.pooling = pooling
        layout, halved = for_size(widths, size, "widths"), for_size(halvings, size, "halvings")
        if halved > len(layout) - (stem == "convolution") or size % 2**halved:
            raise ValueError(f"{len(layout)} widths and {size} pixels do not allow {halved} halvings")
        first = FirstBlock if stem == "block" else _convolution
        self.blocks = nn.ModuleList([first(channels + self.appended, layout[0])])
        halved_before = int(stem == "block")
        for index, (narrow, wide) in enumerate(pairwise(layout)):
            halve = index + halved_before < halved
            self.blocks.append(Block(narrow, narrow, wide, norm, hidden_bias, halve))
        positions = (size // 2**halved) ** 2 if pooling == "flatten" else 1
        self.head = nn.Linear(layout[-1] * positions, 1, bias=head_bias)
        self.projection = Projection(classes, layout[-1]) if classes and conditioning == "projection" else None
        is_classifier = classes and conditioning == "classifier"
        self.class_head = nn.Linear(layout[-1] * positions, classes) if is_classifier else None
        _initialise(self, init)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_planes(images, condition, self.appended)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        if self.pooling != "flatten":
            features[-1] = relu(hidden)
        pooled = self._pool(features[-1])
        score = self.head(pooled).flatten()
        if self.projection is not None:
            score = score + self.projection(features[-1] if self.pooling == "flatten" else pooled, condition)
        logits = None if self.class_head is None else self.class_head(pooled)
        return DiscriminatorOutput(scores=(score,), features=tuple(features), class_logits=logits)

    def _pool(self, maps: Tensor) -> Tensor:
        if self.pooling == "flatten":
            return maps.flatten(1)
        return maps.sum((2, 3)) if self.pooling == "sum" else maps.mean((2, 3))


def _convolution(narrow: int, wide: int) -> nn.Module:
    return nn.Conv2d(narrow, wide, 3, 1, 1)
