"""Kernel Inception distance (Bińkowski et al., *Demystifying MMD GANs*, ICLR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable


class KID(Metric):
    """Unbiased squared MMD with the kernel ``(x·y/d + 1)³``, the mean and deviation over random subsets (section 4).

    Unlike FID it is not biased by the number of samples; it can be negative. Often printed times 1,000.

    Args:
        subsets: number of random subsets; the convention is 100.
        subset_size: samples in a subset, of each kind; the convention is 1,000.
        images: at most so many of each set are drawn from.
    """

    requires = ("images",)
    lower_is_better = True
    on_features = True

    def __init__(self, subsets: PositiveInt, subset_size: PositiveInt, images: PositiveInt) -> None:
        self.subsets = subsets
        self.subset_size = subset_size
        self.images = self.real_features = images

    def evaluate(self, samples: Samples) -> Spread:
        assert samples.features is not None
        real, generated = samples.reference().pooled[: self.images], samples.features.pooled[: self.images]
        return kid(real, generated, self.subsets, self.subset_size)


def kid(real: Tensor, generated: Tensor, subsets: int, subset_size: int) -> Spread:
    """Mean and deviation over subsets, by torchmetrics in float64; drawn with torch's default generator.

    Args:
        real: features ``[n, d]``.
        generated: features ``[m, d]``.
        subsets: number of random subsets.
        subset_size: samples in a subset, of each kind.

    Raises:
        Unavailable: a set is smaller than a subset.
    """
    from torchmetrics.image.kid import poly_mmd

    for count, kind, remedy in ((len(real), "real", "real"), (len(generated), "generated", "samples")):
        if count < subset_size:
            raise Unavailable(
                f"{count} {kind} images are too few for subsets of {subset_size}. Raise evaluation.{remedy}."
            )
    values = torch.stack(
        [poly_mmd(_subset(real, subset_size), _subset(generated, subset_size)) for _ in range(subsets)]
    )
    return Spread(float(values.mean()), float(values.std(correction=0)))


def _subset(features: Tensor, size: int) -> Tensor:
    return features[torch.randperm(len(features))[:size]].double()
