"""Fréchet Inception distance (Heusel et al., *GANs Trained by a Two Time-Scale Update Rule*, NeurIPS 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Moments, Samples, Unavailable


class FID(Metric):
    """``‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½)`` of the features of generated and real images (equation 6).

    It is biased upwards by about 1/n: compare equal numbers of samples only. It needs more samples, real and
    generated, than features.

    Args:
        real: real images to compare with; ``None``: the whole data set.
    """

    requires = ("images",)
    lower_is_better = True
    on_features = True

    def __init__(self, real: PositiveInt | None) -> None:
        self.real = real

    def evaluate(self, samples: Samples) -> float:
        assert samples.features is not None
        generated = samples.features.pooled.double()
        real = samples.real_moments(self.real)
        _check_counts(len(generated), int(real.samples), generated.shape[1])
        return frechet_distance(generated, real)


def frechet_distance(generated: Tensor, real: Moments) -> float:
    """Fréchet distance by torchmetrics, in float64.

    Args:
        generated: feature vectors ``[N, d]``.
        real: moments of the real ones.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_PassThrough(generated.shape[1]), normalize=False, sync_on_compute=False)
    metric.real_features_num_samples = real.samples
    metric.real_features_sum = real.total
    metric.real_features_cov_sum = real.outer
    metric.update(generated, real=False)
    return max(float(metric.compute()), 0.0)  # rounding can take equal sets a little below zero


class _PassThrough(nn.Identity):
    """Stands where torchmetrics expects an extractor: the features have been extracted already."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.num_features = dimensions


def _check_counts(generated: int, real: int, dimensions: int) -> None:
    for count, kind, remedy in (
        (generated, "generated", "Raise evaluation.samples."),
        (real, "real", "The data set, or evaluation.metrics.fid.real, is too small."),
    ):
        if count <= dimensions:
            raise Unavailable(f"{count} {kind} images are too few for {dimensions} features. {remedy}")
