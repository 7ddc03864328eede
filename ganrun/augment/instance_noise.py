"""Instance noise.

Sønderby, Caballero, Theis, Shi, Huszár, *Amortised MAP Inference for Image Super-resolution*, ICLR 2017,
arXiv 1610.04490; Arjovsky and Bottou, *Towards Principled Methods for Training GANs*, ICLR 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.augment.base import Augment
from ganrun.core.arguments import NonNegative
from ganrun.core.schedules import Schedule
from ganrun.core.types import Moment


class InstanceNoise(Augment):
    """``x + s·ε`` with ``ε ~ N(0, I)`` and ``s = std · schedule(progress)``, on whatever a discriminator sees.

    Both distributions are blurred by the same Gaussian, so that their supports overlap and their divergence is smooth.

    Args:
        std: standard deviation at the beginning, in units of the samples: 0.1 for images in [-1, 1]; for points, well
            below the distance between modes (0.1 for the ring, whose modes are 1.5 apart).
        schedule: factor on it.

    Shapes: any -> the same.
    """

    def __init__(self, std: NonNegative, schedule: Schedule) -> None:
        super().__init__()
        self.std = std
        self.schedule = schedule

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        return samples + self.std * moment.value(self.schedule) * torch.randn_like(samples)
