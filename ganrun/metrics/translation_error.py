"""How far answers are from the truth that is known for paired data (Isola et al., CVPR 2017, equation 3)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Unavailable, quantise

BATCH = 64
"""Images compared at once."""


class TranslationError(Metric):
    """Mean absolute error against the true images, in units of [-1, 1].

    It prefers blurred images where several answers are right: read it beside FID.

    Args:
        images: at most so many are compared.
    """

    requires = ("images", "aligned")
    lower_is_better = True

    def __init__(self, images: PositiveInt) -> None:
        self.images = images

    def evaluate(self, samples: Samples) -> float:
        return float(torch.cat([part.abs().mean((1, 2, 3)) for part in differences(samples, self.images)]).mean())


class PSNR(Metric):
    """Peak signal-to-noise ratio against the true images, ``10 log₁₀(2² / MSE)`` in decibels; the mean over images.

    An image without any error counts as if every pixel were off by half of an 8-bit level.

    Args:
        images: at most so many are compared.
    """

    requires = ("images", "aligned")
    lower_is_better = False

    def __init__(self, images: PositiveInt) -> None:
        self.images = images

    def evaluate(self, samples: Samples) -> float:
        squares = torch.cat([part.square().mean((1, 2, 3)) for part in differences(samples, self.images)])
        return float((10 * (4 / squares.clamp(min=1 / 255**2)).log10()).mean())


def differences(samples: Samples, limit: int) -> Iterator[Tensor]:
    """Answers minus truths, in parts ``[n, C, H, W]`` of float64 in units of [-1, 1]; both are rounded to 8 bits.

    Raises:
        Unavailable: nobody knows the truth.
    """
    if samples.truths is None:
        raise Unavailable("there is no true image for a sample")
    for part in torch.arange(min(limit, len(samples.generated))).split(BATCH):
        truth = quantise(samples.truths(part)).cpu()
        yield (samples.generated[part].double() - truth) / 127.5
