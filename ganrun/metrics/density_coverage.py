"""Density and coverage of generated samples.

Naeem et al., *Reliable Fidelity and Diversity Metrics for Generative Models*, ICML 2020. Only the real set has balls,
so that one outlier among the generated samples does no harm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.metrics.base import Samples
from ganrun.metrics.distances import NeighbourMetric, compare, squared_distances, squared_radii


class Density(NeighbourMetric):
    """Mean number of real balls around a generated sample, over k (equation 3): fidelity; can be above 1.

    The paper takes k = 5.
    """

    def evaluate(self, samples: Samples) -> float:
        density, _ = compare(samples, density_coverage, self.neighbours, self.images)
        return density


class Coverage(NeighbourMetric):
    """Share of real balls with a generated sample inside (equation 4): diversity.

    Equal distributions have ``1 − Π (n − i)/(2n − i)`` over i = 1..k, 0.969 for k = 5, and not 1.

    The paper takes k = 5.
    """

    def evaluate(self, samples: Samples) -> float:
        _, coverage = compare(samples, density_coverage, self.neighbours, self.images)
        return coverage


def density_coverage(real: Tensor, generated: Tensor, neighbours: int) -> tuple[float, float]:
    """Density and coverage; a sample on the surface of a ball is outside, as in the authors' code.

    Args:
        real: features ``[n, d]``.
        generated: features ``[m, d]``.
        neighbours: k.
    """
    radii = squared_radii(real, neighbours)
    inside, covered = 0, torch.zeros(len(real), dtype=torch.bool)
    for _, columns, distances in squared_distances(generated, real):
        within = distances < radii[columns]
        inside += int(within.sum())
        covered[columns] |= within.any(0)
    return inside / (neighbours * len(generated)), float(covered.double().mean())
