"""The mild augmentation of consistency regularisation.

Zhang, Zhang, Odena, Lee, *Consistency Regularization for Generative Adversarial Networks*, ICLR 2020, arXiv 1910.12027.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.augment.base import Augment
from ganrun.augment.shift import random_shifts, shift
from ganrun.core.arguments import NonNegativeInt
from ganrun.core.types import Moment


class FlipShift(Augment):
    """Mirror half of the images, and move each by up to a few whole pixels along each axis.

    What moves in is the image, mirrored at its outermost pixels.

    Args:
        pixels: the largest shift; 4 in the paper.

    Shapes: ``[B, C, H, W]`` -> the same.

    Raises:
        ValueError: an image is not larger than the shift.
    """

    requires = ("images",)
    forbids = ("pairs", "aligned_pairs")

    def __init__(self, pixels: NonNegativeInt) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        if self.pixels >= min(samples.shape[2:]):
            raise ValueError(f"images of {samples.shape[3]}x{samples.shape[2]} cannot move by {self.pixels} pixels")
        mirrored = torch.rand(len(samples), 1, 1, 1, device=samples.device) < 0.5
        samples = torch.where(mirrored, samples.flip(3), samples)
        return shift(samples, random_shifts(samples, self.pixels, self.pixels), "reflection")
