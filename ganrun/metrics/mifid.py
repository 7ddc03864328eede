"""Memorisation-informed FID.

Bai et al., *On Training Sample Memorization: Lessons from Benchmarking Generative Modeling with a Large-scale
Competition*, KDD 2021.
"""

from __future__ import annotations

from torch import Tensor

from ganrun.core.arguments import Positive
from ganrun.metrics.base import CHUNK, Metric, Samples, moments
from ganrun.metrics.fid import fid


class MiFID(Metric):
    """FID divided by the mean cosine distance of generated features to the nearest real ones, where that is small.

    A model that repeats its training data has a small FID and a large MiFID. The features of all real images are held
    in memory.

    Args:
        threshold: from this distance on, samples are taken to be new and FID is not divided; torchmetrics takes 0.1.
    """

    requires = ("images",)
    lower_is_better = True
    on_features = True
    real_features = None

    def __init__(self, threshold: Positive) -> None:
        self.threshold = threshold

    def evaluate(self, samples: Samples) -> float:
        assert samples.features is not None
        generated, reference = samples.features.pooled, samples.reference()
        distance = nearest_cosine_distance(generated, reference.pooled)
        penalty = distance if distance < self.threshold else 1.0
        return fid(moments([generated]), reference.moments) / (penalty + 1e-14)  # a perfect copy: huge, but finite


def nearest_cosine_distance(generated: Tensor, real: Tensor) -> float:
    """Mean over ``generated`` of ``min_j 1 − |cos(g, r_j)|``; all-zero features have no angle and are left out.

    Args:
        generated: ``[n, d]``.
        real: ``[m, d]``.
    """
    generated, real = _directions(generated), _directions(real)
    total = 0.0
    for rows in generated.split(CHUNK):
        nearest = rows.new_zeros(len(rows))
        for columns in real.split(CHUNK):
            nearest = nearest.maximum((rows @ columns.T).abs().amax(1))
        total += float((1 - nearest).double().sum())
    return total / max(len(generated), 1)


def _directions(features: Tensor) -> Tensor:
    lengths = features.norm(dim=1, keepdim=True)
    return (features / lengths)[lengths[:, 0] > 0]
