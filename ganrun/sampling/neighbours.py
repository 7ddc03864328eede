"""Real images nearest to generated ones: a generator that copies is seen at once (Goodfellow et al., 2014, fig. 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from ganrun.core.types import Dataset
from ganrun.metrics.base import quantise

Embedding = Callable[[Tensor], Tensor]
"""uint8 images ``[N, C, H, W]`` -> vectors ``[N, d]``."""


class Neighbours(NamedTuple):
    """Nearest real images, nearest first.

    Args:
        distances: Euclidean, ``[N, k]`` float64.
        indices: in the data set's first domain, ``[N, k]``.
    """

    distances: Tensor
    indices: Tensor


def pixels(images: Tensor) -> Tensor:
    """The embedding of a distance between pixels: levels in [0, 1], so that a distance hangs on the resolution."""
    return images.flatten(1).double() / 255


def nearest(
    images: Tensor, dataset: Dataset, count: int, embed: Embedding, batch_size: int, progress: bool
) -> Neighbours:
    """Find the real images nearest to each of ``images``; only one batch of real ones is held at a time.

    Args:
        images: ``[N, C, H, W]`` in [-1, 1].
        dataset: the real images, as they are (never augmented).
        count: neighbours of each, at most as many as there are real images.
        embed: where distances are measured.
        batch_size: real images looked at at once.
        progress: whether to show a progress bar on a terminal.
    """
    wanted = embed(quantise(images)).double().cpu()
    best = Neighbours(torch.empty(len(wanted), 0, dtype=torch.float64), torch.empty(len(wanted), 0, dtype=torch.int64))
    total = dataset.facts.count[0]
    with tqdm(total=total, desc="real images", unit="img", leave=False, disable=None if progress else True) as bar:
        for indices in torch.arange(total).split(batch_size):
            real = embed(quantise(fetch(dataset, indices))).double().cpu()
            # differences, not the expanded square: near-copies would drown in its rounding
            distances = torch.cdist(wanted, real, compute_mode="donot_use_mm_for_euclid_dist")
            best = _merge(best, Neighbours(distances, indices.expand(len(wanted), -1)), count)
            bar.update(len(indices))
    return best


def fetch(dataset: Dataset, indices: Tensor) -> Tensor:
    """Images of the first domain at ``indices``, ``[N, C, H, W]`` in [-1, 1], never augmented."""
    return dataset.fetch(tuple(indices % available for available in dataset.facts.count), augment=False).real


def _merge(one: Neighbours, other: Neighbours, count: int) -> Neighbours:
    distances, indices = (torch.cat(pair, dim=1) for pair in zip(one, other, strict=True))
    order = distances.argsort(dim=1, stable=True)[:, :count]
    return Neighbours(distances.gather(1, order), indices.gather(1, order))
