"""Distances between all pairs of two sets, a tile at a time: memory does not grow with the product of the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ganrun.core.arguments import PositiveInt
from ganrun.metrics.base import Metric, Samples, Unavailable

TILE = 2048
"""Pairs of so many members of each set are held at once: 32 MB in float64."""


def squared_distances(first: Tensor, second: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Tiles of the matrix ``‖first_i − second_j‖²`` in float64.

    Args:
        first: ``[n, d]``.
        second: ``[m, d]``.

    Yields:
        Rows, columns and the tile ``[rows, columns]``; all columns of some rows before the next rows.
    """
    centre = second[:TILE].double().mean(0)  # distances are small differences of norms: keep the norms small
    for rows in _parts(len(first)):
        left = first[rows].double() - centre
        norms = left.square().sum(1, keepdim=True)
        for columns in _parts(len(second)):
            right = second[columns].double() - centre
            tile = torch.addmm(norms + right.square().sum(1), left, right.T, alpha=-2)
            yield rows, columns, tile.clamp_(min=0)


def nearest(first: Tensor, second: Tensor, count: int) -> Tensor:
    """The ``count`` smallest squared distances ``[n, count]`` of each member of ``first`` to ``second``, ascending."""
    found = torch.full((len(first), count), torch.inf, dtype=torch.float64)
    for rows, _, tile in squared_distances(first, second):
        smallest = tile.topk(min(count, tile.shape[1]), dim=1, largest=False).values
        found[rows] = torch.cat([found[rows], smallest], 1).topk(count, dim=1, largest=False).values
    return found


def squared_radii(points: Tensor, neighbours: int) -> Tensor:
    """Squared distance ``[n]`` of every point to its k-th nearest neighbour in its own set, itself not counted."""
    own = 1  # a point is its own nearest neighbour
    return nearest(points, points, neighbours + own)[:, -1]


class NeighbourMetric(Metric):
    """A metric on balls that reach to the k-th nearest neighbour in feature space.

    Args:
        neighbours: k.
        images: at most so many of each set are used; cost grows with the square.
    """

    requires = ("images",)
    lower_is_better = False
    on_features = True

    def __init__(self, neighbours: PositiveInt, images: PositiveInt) -> None:
        self.neighbours = neighbours
        self.images = self.real_features = images


def compare(
    samples: Samples, score: Callable[[Tensor, Tensor, int], tuple[float, float]], neighbours: int, images: int
) -> tuple[float, float]:
    """Two scores of real and generated features by their neighbours, computed once per evaluation.

    Args:
        samples: with features.
        score: ``score(real, generated, neighbours)``.
        neighbours: k.
        images: at most so many of each set are used.

    Raises:
        Unavailable: a set has no k-th neighbours.
    """

    def make() -> tuple[float, float]:
        assert samples.features is not None
        real, generated = samples.reference().pooled[:images], samples.features.pooled[:images]
        if min(len(real), len(generated)) <= neighbours:
            found = f"{len(generated)} generated and {len(real)} real images"
            raise Unavailable(f"{found} are too few for {neighbours} neighbours. Raise evaluation.samples or .real.")
        return score(real, generated, neighbours)

    return samples.share((score.__name__, neighbours, images), make)


def _parts(count: int) -> list[slice]:
    return [slice(start, min(start + TILE, count)) for start in range(0, count, TILE)]
