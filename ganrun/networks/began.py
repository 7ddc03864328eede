"""Networks of BEGAN (Berthelot, Schumm & Metz, 2017, arXiv 1703.10717, section 3.5 and figure 1).

3x3 convolutions with ELU, without normalisation or a final tanh; strides halve and nearest neighbours double the size.
Differs from the paper: without its optional skip connections and vanishing residuals; class labels, which it does not
have, may be appended to z and to the code.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.autoencoder import reconstruction_error
from ganrun.networks.layers.condition import append_to_latent

BOTTOM = 8
"""Side of the smallest maps."""


def _doublings(size: int) -> int:
    count = (size // BOTTOM).bit_length() - 1
    if count < 0 or BOTTOM * 2**count != size:
        raise ValueError(f"BEGAN makes square images of 8, 16, 32, 64, 128, ... pixels; got {size}")
    return count


def _convolution(narrow: int, wide: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(narrow, wide, 3, stride, 1), nn.ELU(inplace=True))


class Generator(nn.Module):
    """A latent through a dense layer to 8x8 maps, and by two convolutions per size to an image.

    Args:
        latent_size: dimensions of z.
        width: channels of every layer, the paper's n.
        conditional: whether class labels are appended to z.
        size: side of the image in pixels, 8·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, latent_size]`` (and ``[B]`` labels) -> ``[B, channels, size, size]``, not bounded.

    Raises:
        ValueError: ``size`` is not 8·2^k.
    """

    requires = ("images",)

    def __init__(
        self, latent_size: PositiveInt, width: PositiveInt, conditional: bool, size: int, channels: int, classes: int
    ) -> None:
        super().__init__()
        self.appended = classes if conditional else 0
        layers: list[nn.Module] = [
            nn.Linear(latent_size + self.appended, width * BOTTOM**2),
            nn.Unflatten(1, (width, BOTTOM, BOTTOM)),
        ]
        for index in range(_doublings(size) + 1):
            layers += [nn.Upsample(scale_factor=2, mode="nearest")] if index else []
            layers += [_convolution(width, width), _convolution(width, width)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, 1, 1))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(append_to_latent(z, condition, self.appended))


class Discriminator(nn.Module):
    """An autoencoder whose decoder is built as the generator.

    Args:
        code_size: dimensions of the code, the paper's N_h.
        width: channels of the first layers, the paper's n; n more at every halving of the resolution, and n in all of
            the decoder.
        energy: ``mean_absolute`` (the paper with η = 1) or ``mean_square`` (η = 2): means over channels and pixels;
            ``norm``: Euclidean.
        conditional: whether class labels are appended to the code.
        size: side of the image in pixels, 8·2^k.
        channels: image channels.
        classes: classes of the data; used when ``conditional``.

    Shapes: ``[B, channels, size, size]`` -> scores ``[B]``, at most 0; features: the code; reconstruction
    ``[B, channels, size, size]``.

    Raises:
        ValueError: ``size`` is not 8·2^k.
    """

    requires = ("images",)
    provides = ("energy",)

    def __init__(
        self,
        code_size: PositiveInt,
        width: PositiveInt,
        energy: Literal["mean_square", "mean_absolute", "norm"],
        conditional: bool,
        size: int,
        channels: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.energy = energy
        layers: list[nn.Module] = [_convolution(channels, width)]
        halvings = _doublings(size)
        for index in range(halvings + 1):
            narrow, wide = width * max(index, 1), width * (index + 1)
            layers += [_convolution(narrow, wide), _convolution(wide, wide)]
            layers += [_convolution(wide, wide, stride=2)] if index < halvings else []
        flat = width * (halvings + 1) * BOTTOM**2
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, code_size))
        self.decoder = Generator(code_size, width, conditional, size, channels, classes)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        code = self.encoder(images)
        reconstruction = self.decoder(code, condition)
        score = -reconstruction_error(images, reconstruction, self.energy)
        return DiscriminatorOutput(scores=(score,), features=(code,), reconstruction=reconstruction)
