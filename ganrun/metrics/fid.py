"""Fréchet Inception distance (Heusel et al., *GANs Trained by a Two Time-Scale Update Rule*, NeurIPS 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.metrics.base import Metric, Moments, Samples, Unavailable, moments


class FID(Metric):
    """``‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½)`` of the features of generated and real images (equation 6).

    It is biased upwards by about 1/n: compare equal numbers of samples only. It needs more samples, real and
    generated, than features.
    """

    requires = ("images",)
    lower_is_better = True
    on_features = True

    def evaluate(self, samples: Samples) -> float:
        assert samples.features is not None
        return fid(moments([samples.features.pooled]), samples.reference().moments)


def fid(generated: Moments, real: Moments) -> float:
    """Fréchet distance between two sets of features.

    Raises:
        Unavailable: a set is too small for its covariance to mean anything.
    """
    for part, kind, remedy in (
        (generated, "generated", "Raise evaluation.samples."),
        (real, "real", "Raise evaluation.real, or take a data set with more images."),
    ):
        if int(part.samples) <= len(part.total):
            raise Unavailable(f"{int(part.samples)} {kind} images are too few for {len(part.total)} features. {remedy}")
    return frechet_distance(*mean_and_covariance(generated), *mean_and_covariance(real))


def mean_and_covariance(moments: Moments) -> tuple[Tensor, Tensor]:
    """Mean ``[d]`` and unbiased covariance ``[d, d]``."""
    count = int(moments.samples)
    mean = moments.total / count
    return mean, (moments.outer - count * torch.outer(mean, mean)) / (count - 1)


def frechet_distance(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """Squared Fréchet (2-Wasserstein) distance between two Gaussians, in float64.

    With a factor ``Σ₁ = L Lᵀ``, the product ``Σ₁Σ₂`` has the eigenvalues of the symmetric ``Lᵀ Σ₂ L``, and the trace of
    its root is the sum of their roots: no matrix square root, no complex numbers. 2,048 features take a few seconds.

    Args:
        mean1: ``[d]``.
        covariance1: ``[d, d]``.
        mean2: ``[d]``.
        covariance2: ``[d, d]``.
    """
    mean1, covariance1, mean2, covariance2 = (part.double() for part in (mean1, covariance1, mean2, covariance2))
    factor = _factor(covariance1)
    eigenvalues = torch.linalg.eigvalsh(factor.T @ covariance2 @ factor)
    root = eigenvalues.clamp(min=0).sqrt().sum()  # rounding can take zeros a little below zero
    distance = (mean1 - mean2).square().sum() + covariance1.trace() + covariance2.trace() - 2 * root
    return max(float(distance), 0.0)  # and equal sets


def _factor(covariance: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return factor
    eigenvalues, vectors = torch.linalg.eigh(covariance)  # singular: dead units, copies
    return vectors * eigenvalues.clamp(min=0).sqrt()
