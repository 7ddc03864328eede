"""Whether a translation can be undone (Zhu et al., *CycleGAN*, ICCV 2017, arXiv 1703.10593, equation 2)."""

from __future__ import annotations

import torch

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Unavailable


class CycleError(Metric):
    """Mean absolute error of images after there and back, in units of [-1, 1].

    A translator that changes nothing has 0: read it beside FID. It costs two translations of every image.

    Args:
        images: at most so many are translated.
        batch_size: images translated at once.
    """

    requires = ("images", "two_domains")
    lower_is_better = True

    def __init__(self, images: PositiveInt, batch_size: PositiveInt) -> None:
        self.images = images
        self.batch_size = batch_size

    def evaluate(self, samples: Samples) -> float:
        if samples.cycles is None:
            raise Unavailable("what made these samples has no way back")
        numbers = torch.arange(min(self.images, len(samples.generated)))
        errors = []
        for part in numbers.split(self.batch_size):
            images, returned = samples.cycles(part)
            errors.append((returned.float() - images).abs().mean((1, 2, 3)).double().cpu())
        return float(torch.cat(errors).mean())
