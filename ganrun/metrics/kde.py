"""Log-likelihood of real data under a Parzen window on generated samples.

Goodfellow et al., *Generative Adversarial Nets*, NeurIPS 2014, section 5. Misleading in high dimension: Theis et al.,
*A note on the evaluation of generative models*, ICLR 2016.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import Dataset
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable, real_images
from ganrun.metrics.distances import squared_distances

log = logging.getLogger(__name__)


class KDE(Metric):
    """``log p(x) = log 1/n Σ_i N(x; s_i, σ²)``, its mean and standard error over real test samples, in nats.

    The bandwidth σ is chosen on a validation part of the real data. Images are taken to be in [0, 1].

    Args:
        bandwidths: candidates for σ.
        validation: real samples that σ is chosen on.
        test: other real samples, which are scored.
        unit: nats, or nats per dimension.
    """

    lower_is_better = False

    def __init__(
        self,
        bandwidths: Sequence[float],
        validation: PositiveInt,
        test: PositiveInt,
        unit: Literal["nats", "nats_per_dimension"],
    ) -> None:
        self.bandwidths = tuple(bandwidths)
        self.validation = validation
        self.test = test
        self.unit = unit

    def evaluate(self, samples: Samples) -> Spread:
        key = ("kde", self.bandwidths, self.validation, self.test)
        likelihood = samples.share(key, lambda: self._likelihood(samples))
        scale = samples.generated[0].numel() if self.unit == "nats_per_dimension" else 1
        deviation = likelihood.std() / math.sqrt(len(likelihood))
        return Spread(float(likelihood.mean()) / scale, float(deviation) / scale)

    def _likelihood(self, samples: Samples) -> Tensor:
        generated = _vectors(samples.generated)
        real = _real(samples.dataset, self.validation + self.test)
        if len(real) <= self.validation + 1:
            raise Unavailable(f"{len(real)} real samples are too few to set {self.validation} apart for the bandwidth")
        validation, test = real[: self.validation], real[self.validation :]
        values = log_likelihood(validation, generated, self.bandwidths).mean(1)
        best = self.bandwidths[int(values.argmax())]
        if len(self.bandwidths) > 1 and best in (min(self.bandwidths), max(self.bandwidths)):
            log.warning("kde: the best bandwidth, %g, is at the end of the range that was tried", best)
        return log_likelihood(test, generated, [best])[0]


def log_likelihood(points: Tensor, centres: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Log density ``[bandwidths, n]`` in nats of mixtures of equal Gaussians, by logsumexp in float64.

    Args:
        points: ``[n, d]``.
        centres: ``[m, d]``.
        bandwidths: standard deviations.
    """
    count, dimensions = centres.shape
    sums = torch.full((len(bandwidths), len(points)), -torch.inf, dtype=torch.float64)
    for rows, _, distances in squared_distances(points, centres):
        for total, sigma in zip(sums, bandwidths, strict=True):
            total[rows] = total[rows].logaddexp((distances / (-2 * sigma**2)).logsumexp(1))
    for total, sigma in zip(sums, bandwidths, strict=True):
        total -= math.log(count) + dimensions / 2 * math.log(2 * math.pi * sigma**2)
    return sums


def _vectors(samples: Tensor) -> Tensor:
    return samples.flatten(1).double() / 255 if samples.dtype == torch.uint8 else samples.double()


def _real(dataset: Dataset, count: int) -> Tensor:
    if dataset.facts.kind == "points":
        return dataset.examples(count).real.cpu().double()
    return torch.cat([_vectors(images.cpu()) for images, _ in real_images(dataset, count, batch_size=1000)])
