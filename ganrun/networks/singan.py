"""Networks of SinGAN (Rott Shaham, Dekel & Michaeli, *SinGAN*, ICCV 2019, arXiv 1905.01164, section 2.1).

Both are stacks of 3x3 convolutions without padding, so that one output pixel sees a patch of ``2·layers + 1`` pixels
(11 with the paper's five layers) and images of any size can be processed.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import pad

from ganrun.core.errors import RunError
from ganrun.core.types import DiscriminatorOutput
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import Norm, norm_layer
from ganrun.networks.layers.spectral_norm import spectral_normalise


def _hidden_blocks(channels: int, width: int, layers: int, norm: str) -> list[nn.Module]:
    inputs = [channels] + [width] * (layers - 2)
    return [
        nn.Sequential(nn.Conv2d(narrow, width, 3), norm_layer(norm, width), nn.LeakyReLU(0.2, inplace=True))
        for narrow in inputs
    ]


class Generator(nn.Module):
    """Adds the missing detail to an up-sampled coarser image (equation 5).

    ``previous + tanh(layers(noise + previous))``; the input is padded with zeros once, by as much as the layers take.

    Args:
        width: channels of the hidden layers.
        layers: number of convolutions, at least 2.
        norm: normalisation after every convolution but the last.
        channels: image channels.

    Shapes: noise and previous ``[B, channels, H, W]`` -> ``[B, channels, H, W]``, possibly a little outside [-1, 1].
    """

    requires = ("images",)

    def __init__(self, width: int, layers: int, norm: Norm, channels: int) -> None:
        super().__init__()
        self.padding = layers
        hidden = _hidden_blocks(channels, width, layers, norm)
        self.layers = nn.Sequential(*hidden, nn.Conv2d(width, channels, 3), nn.Tanh())
        normal_init(self)

    def forward(self, noise: Tensor, previous: Tensor) -> Tensor:
        return previous + self.layers(pad(noise + previous, [self.padding] * 4))


class Discriminator(nn.Module):
    """One raw score per patch of the image (a Markovian discriminator without padding).

    Args:
        width: channels of the hidden layers.
        layers: number of convolutions, at least 2.
        norm: normalisation after every convolution but the last. ``batch``, as published, is meant for a batch of one
            image: it then normalises over the positions of that image. ``auto`` becomes ``batch``, or ``none`` where
            ``spectral`` is set.
        spectral: whether all weights are spectrally normalised.
        channels: image channels.

    Shapes: ``[B, channels, H, W]`` -> scores ``[B, 1, H - 2·layers, W - 2·layers]``; features: every hidden layer.

    Raises:
        RunError: at a call, images are smaller than a patch.
    """

    requires = ("images",)
    provides = ("patch_scores",)

    def __init__(
        self,
        width: int,
        layers: int,
        norm: Literal["auto", "batch", "instance", "layer", "none"],
        spectral: bool,
        channels: int,
    ) -> None:
        super().__init__()
        self.patch = 2 * layers + 1
        self.blocks = nn.ModuleList(_hidden_blocks(channels, width, layers, norm))
        self.head = nn.Conv2d(width, 1, 3)
        normal_init(self)
        if spectral:
            spectral_normalise(self)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        if min(images.shape[2:]) < self.patch:
            size = f"{images.shape[2]}x{images.shape[3]}"
            raise RunError(f"an image of {size} pixels holds no patch of {self.patch} pixels. Raise model.min_size.")
        features = []
        hidden = images
        for block in self.blocks:
            hidden = block(hidden)
            features.append(hidden)
        return DiscriminatorOutput(scores=(self.head(hidden),), features=tuple(features))
