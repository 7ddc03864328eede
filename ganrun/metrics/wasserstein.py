"""Exact optimal transport between two sets of points, matched one to one or weighted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
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


class Transport(NamedTuple):
    """How mass moves at the least cost.

    Args:
        cost: the least cost.
        plan: ``[n, m]``: mass moved from each source to each target.
        sources: ``[n]``: Kantorovich potential f of the sources, 0 at the first.
        targets: ``[m]``: potential g of the targets; f_i + g_j is at most the cost of i to j, and equals it where mass
            moves.
    """

    cost: float
    plan: NDArray[np.float64]
    sources: NDArray[np.float64]
    targets: NDArray[np.float64]


def transport(costs: NDArray[np.float64], sources: NDArray[np.float64], targets: NDArray[np.float64]) -> Transport:
    """The linear program ``min <C, P>`` over plans P >= 0 whose rows sum to ``sources`` and columns to ``targets``.

    Args:
        costs: C, ``[n, m]``.
        sources: masses ``[n]``.
        targets: masses ``[m]``, of the same sum.

    Raises:
        ValueError: the sums differ.
    """
    n, m = costs.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    found = linprog(costs.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([sources, targets]))
    if not found.success:
        raise ValueError(f"no plan moves masses of {sources.sum():g} to masses of {targets.sum():g}")
    potentials = found.eqlin.marginals
    return Transport(
        cost=float(found.fun),
        plan=found.x.reshape(n, m),
        sources=potentials[:n] - potentials[0],
        targets=potentials[n:] + potentials[0],
    )


def _fresh(dataset: Dataset, count: int) -> Tensor:
    return dataset.fetch((torch.arange(count),), augment=False).real.cpu()
