"""Precision and recall of generated samples.

Kynkäänniemi et al., *Improved Precision and Recall Metric for Assessing Generative Models*, NeurIPS 2019. A set of
features is taken to fill the union of balls around its members, each as large as the distance to the member's k-th
nearest neighbour.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.metrics.base import Samples
from ganrun.metrics.distances import NeighbourMetric, compare, squared_distances, squared_radii


class Precision(NeighbourMetric):
    """Share of generated samples inside the balls of real ones (equation 2): fidelity.

    The paper takes k = 3.
    """

    def evaluate(self, samples: Samples) -> float:
        precision, _ = compare(samples, precision_recall, self.neighbours, self.images)
        return precision


class Recall(NeighbourMetric):
    """Share of real samples inside the balls of generated ones (equation 2): diversity.

    The paper takes k = 3.
    """

    def evaluate(self, samples: Samples) -> float:
        _, recall = compare(samples, precision_recall, self.neighbours, self.images)
        return recall


def precision_recall(real: Tensor, generated: Tensor, neighbours: int) -> tuple[float, float]:
    """Precision and recall.

    Args:
        real: features ``[n, d]``.
        generated: features ``[m, d]``.
        neighbours: k.
    """
    real_radii, generated_radii = squared_radii(real, neighbours), squared_radii(generated, neighbours)
    precise, recalled = torch.zeros(len(generated), dtype=torch.bool), torch.zeros(len(real), dtype=torch.bool)
    for rows, columns, distances in squared_distances(generated, real):
        precise[rows] |= (distances <= real_radii[columns]).any(1)
        recalled[columns] |= (distances <= generated_radii[rows, None]).any(0)
    return float(precise.double().mean()), float(recalled.double().mean())
