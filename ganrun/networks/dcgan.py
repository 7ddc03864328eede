"""DCGAN (Radford, Metz & Chintala, *Unsupervised Representation Learning with DCGANs*, ICLR 2016, arXiv 1511.06434).

Differs from the paper: 4x4 kernels and a narrower generator, as in the widely used reference implementation.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.condition import append_planes, append_to_latent
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer


def doublings(size: int) -> int:
    """How often 4x4 is doubled to reach ``size``.

    Raises:
        ValueError: ``size`` is not 4·2^k with k >= 1.
    """
    count = (size // 4).bit_length() - 1
    if count < 1 or 4 * 2**count != size:
        raise ValueError(f"DCGAN makes square images of 8, 16, 32, 64, 128, ... pixels; got {size}")
    return count


class Generator(nn.Module):
    """Transposed convolutions from a latent to an image in [-1, 1].

    Args:
        latent_size: dimensions of z.
        width: channels at half the output resolution; they double towards the 4x4 end.
        norm: normalisation after every layer but the last.
        conditional: whether class labels are appended to z.
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        latent_size: PositiveInt,
        width: PositiveInt,
        norm: Literal["batch", "instance", "layer", "none"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.classes = classes if conditional else 0
        count = doublings(size)
        widths = [width * 2**k for k in reversed(range(count))]
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_size + self.classes, widths[0], 4, 1, 0, bias=False)]
        for narrow, wide in zip([*widths[1:], channels], widths, strict=True):
            layers += [norm_layer(norm, wide), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        normal_init(self)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.classes)[:, :, None, None])


class Discriminator(nn.Module):
    """Strided convolutions from an image to one raw score.

    Args:
        width: channels after the first layer; they double at every halving of the resolution.
        norm: normalisation of every layer but the first and the last. ``auto`` becomes ``batch``, or ``none`` when
            the loss takes gradients with respect to single samples or ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        conditional: whether class labels enter as constant planes.
        size: side of the image in pixels, 4·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``; features: the activations of every hidden layer.

    Raises:
        ValueError: ``size`` is not 4·2^k.
    """

    requires = ("images",)

    def __init__(
        self,
        width: PositiveInt,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.classes = classes if conditional else 0
        widths = [width * 2**k for k in range(doublings(size))]
        self.blocks = nn.ModuleList()
        for index, (narrow, wide) in enumerate(zip([channels + self.classes, *widths], widths, strict=False)):
            convolution = nn.Conv2d(narrow, wide, 4, 2, 1, bias=False)
            layers = [convolution] if index == 0 else [convolution, norm_layer(norm, wide)]
            self.blocks.append(nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True)))
        self.head = nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False)
        normal_init(self)
        if spectral:
            for module in [m for m in self.modules() if isinstance(m, nn.Conv2d)]:
                spectral_norm(module)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = []
        hidden = append_planes(images, condition, self.classes)
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden).flatten(),), features=tuple(features))
