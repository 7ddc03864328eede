"""The residual translator of CycleGAN (Zhu et al., ICCV 2017, appendix 7.2, after Johnson et al., ECCV 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from ganrun.core.arguments import Fraction, NonNegativeInt, PositiveInt
from ganrun.networks.layers.init import normal_init
from ganrun.networks.layers.norm import norm_layer


def _normalised(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, norm_layer("instance", channels), nn.ReLU(inplace=True)]


class ResidualBlock(nn.Module):
    """``x + F(x)`` with two reflection-padded 3x3 convolutions and nothing after the sum.

    Args:
        channels: of input and output.
        dropout: share of the activations between the convolutions that is dropped while training.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normalised(nn.Conv2d(channels, channels, 3), channels),
            nn.Dropout(dropout),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            norm_layer("instance", channels),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + self.layers(hidden)


class Generator(nn.Module):
    """Two halvings, residual blocks at a quarter of the resolution, two doublings, tanh.

    Instance norm without affine parameters and without running statistics: images of a batch do not see each other.

    Args:
        width: channels at full resolution; they double at every halving.
        blocks: residual blocks; the paper has 6 for 128 pixels and 9 from 256 pixels on.
        dropout: share of the activations inside of residual blocks that is dropped while training; the paper has none.
        shape: shape of one image, ``(channels, height, width)``.

    Shapes: ``[B, C, H, W]`` -> ``[B, C, H, W]``.

    Raises:
        ValueError: height or width is not divisible by 4, or below 8 pixels.
    """

    requires = ("images",)
    multiple, least = 4, 8  # of the sides

    multiple, least = 4, 8
    """What the sides of images must be divisible by, and the smallest that can be."""

    def __init__(self, width: PositiveInt, blocks: NonNegativeInt, dropout: Fraction, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, *sides = shape
        if any(side % self.multiple or side < self.least for side in sides):
            raise ValueError(f"the ResNet translator needs sides divisible by 4 and at least 8; got {tuple(sides)}")
        layers = [nn.ReflectionPad2d(3), *_normalised(nn.Conv2d(channels, width, 7), width)]
        for wide in (2 * width, 4 * width):
            layers += _normalised(nn.Conv2d(wide // 2, wide, 3, 2, 1), wide)
        layers += [ResidualBlock(4 * width, dropout) for _ in range(blocks)]
        for narrow in (2 * width, width):
            layers += _normalised(nn.ConvTranspose2d(2 * narrow, narrow, 3, 2, 1, output_padding=1), narrow)
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        normal_init(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)
