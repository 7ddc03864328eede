"""Exact optimal transport between two sets of points, by combinatorial optimisation."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ganrun.core.arguments import PositiveInt
from ganrun.core.types import Dataset
from ganrun.metrics.base import Metric, Samples, Spread, Unavailable


class Wasserstein(Metric):
    """``W₁ = min_π 1/n Σ_i ‖x_i − y_π(i)‖`` between generated points and as many fresh real ones.

    Two batches of the *same* distribution are far apart too (0.27 for 256 points of a 2-D normal distribution): compare
    with :class:`WassersteinFloor` at the same n, never with 0. Time grows with the cube of n.

    Args:
        points: n.
    """

    requires = ("points",)
    lower_is_better = True

    def __init__(self, points: PositiveInt) -> None:
        self.points = points

    def evaluate(self, samples: Samples) -> float:
        generated = samples.generated[: self.points]
        if len(generated) < self.points:
            found = f"{len(generated)} samples are fewer than the {self.points} to be matched"
            raise Unavailable(f"{found}. Raise evaluation.samples or lower evaluation.metrics.wasserstein.points.")
        if not generated.isfinite().all():
            raise Unavailable("some samples are not finite")
        return matched_distance(generated, _fresh(samples.dataset, self.points))


class WassersteinFloor(Metric):
    """What :class:`Wasserstein` gives for a perfect generator: its mean over pairs of real batches, and the deviation.

    Args:
        points: of each batch.
        pairs: of batches.
    """

    requires = ("points",)
    lower_is_better = True

    def __init__(self, points: PositiveInt, pairs: PositiveInt) -> None:
        self.points = points
        self.pairs = pairs

    def evaluate(self, samples: Samples) -> Spread:
        def draw() -> Tensor:
            return _fresh(samples.dataset, self.points)

        distances = torch.tensor([matched_distance(draw(), draw()) for _ in range(self.pairs)], dtype=torch.float64)
        return Spread(float(distances.mean()), float(distances.std()) if self.pairs > 1 else float("nan"))


def matched_distance(first: Tensor, second: Tensor) -> float:
    """Mean Euclidean distance between two sets of equally many points, matched so that it is least: their W₁.

    Args:
        first: ``[n, d]``, finite.
        second: ``[n, d]``, finite.
    """
    cost = torch.cdist(first.double(), second.double(), compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
    return float(cost[linear_sum_assignment(cost)].mean())


def _fresh(dataset: Dataset, count: int) -> Tensor:
    return dataset.fetch((torch.arange(count),), augment=False).real.cpu()
