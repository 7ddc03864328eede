"""Instance and layer normalisation mixed, channel by channel.

AdaLIN: Kim et al., *U-GAT-IT*, ICLR 2020, arXiv 1907.10830, equation 1. Both: Chen et al., *Reusing Discriminators for
Encoding*, CVPR 2020, arXiv 2003.00273, whose published code has a softmax over two logits in place of U-GAT-IT's ρ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, instance_norm

LARGE, SMALL = 3.2, 1.0  # logits at the start: the larger one has a weight of 0.9


class InstanceLayerMix(nn.Module):
    """``w IN(x) + (1 - w) LN(x)``, w a softmax of two logits per channel; LN is over channels and positions.

    Samples of a batch do not see each other.

    Args:
        channels: of the input.
        instance: logit of instance normalisation at the start.
        layer: logit of layer normalisation at the start.

    Shapes: ``[B, channels, H, W]`` with more than one position -> the same.
    """

    def __init__(self, channels: int, instance: float, layer: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([instance, layer]).repeat(channels, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        of_instance, of_layer = self.logits.softmax(1).T[:, :, None, None]
        return of_instance * instance_norm(hidden) + of_layer * group_norm(hidden, 1)


class ILN(nn.Module):
    """The mix with a gain and a bias per channel, at first close to layer normalisation.

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.normalise = InstanceLayerMix(channels, instance=SMALL, layer=LARGE)
        self.gain = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        return self.gain * self.normalise(hidden) + self.bias


class AdaLIN(nn.Module):
    """The mix with gains γ and biases β that are given for every sample, at first close to instance normalisation.

    Args:
        channels: of the input.

    Shapes: ``[B, channels, H, W]``, γ and β ``[B, channels]`` -> ``[B, channels, H, W]``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.normalise = InstanceLayerMix(channels, instance=LARGE, layer=SMALL)

    def forward(self, hidden: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return gain[:, :, None, None] * self.normalise(hidden) + bias[:, :, None, None]
