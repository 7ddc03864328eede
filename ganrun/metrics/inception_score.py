"""Inception Score (Salimans et al., *Improved Techniques for Training GANs*, NeurIPS 2016)."""

from __future__ import annotations

import math
import warnings

from torch import Tensor, nn

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable


class InceptionScore(Metric):
    """``exp(E_x KL(p(c|x) ‖ p(c)))``, the mean and deviation over equal splits of the shuffled samples.

    Between 1 and the number of classes; blind to collapse within a class.

    Args:
        splits: number of splits, each with its own p(c).
    """

    requires = ("images",)
    lower_is_better = False
    on_features = True

    def __init__(self, splits: PositiveInt) -> None:
        self.splits = splits

    def evaluate(self, samples: Samples) -> Spread:
        assert samples.features is not None
        logits = samples.features.logits
        if logits is None:
            raise Unavailable("the feature extractor knows no classes")
        if len(logits) < 2 * self.splits:
            raise Unavailable(f"{len(logits)} images are too few for {self.splits} splits. Raise evaluation.samples.")
        return inception_score(logits, self.splits)


def inception_score(logits: Tensor, splits: int) -> Spread:
    """Inception Score, mean and standard deviation over splits, by torchmetrics.

    Args:
        logits: ``[N, classes]``; shuffled with torch's default generator.
        splits: number of splits.
    """
    from torchmetrics.image.inception import InceptionScore as TorchmetricsScore

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features")
        metric = TorchmetricsScore(nn.Identity(), splits=splits, normalize=False, sync_on_compute=False)
        # In float64: where a class is never predicted, a float32 softmax underflows and 0·log 0 would be NaN.
        metric.update(logits.double())
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*degrees of freedom"
            )  # of one split: NaN, which is not reported
            mean, std = metric.compute()
    return Spread(float(mean), float(std) * math.sqrt((splits - 1) / splits))  # of these splits: ddof = 0, as usual
