"""What all image data sets share: subsets, facts, and batches made on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ganrun.core.errors import DataError
from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.data.cache import Decoded
from ganrun.data.storage import Storage

Split = Literal["train", "test"]
"""Part of a data set, as its makers divided it."""


class Images:
    """Decoded images of one or two domains; batches are gathered, flipped and normalised on the device.

    Args:
        name: shown in the description.
        domains: the images of each domain, all of one shape.
        classes: number of classes, 0 for unlabelled images.
        resampling: how they were resized, for the description and the fingerprint.
        flip: mirror each fetched image with probability one half.
    """

    provides: tuple[str, ...] = ("images",)
    """Traits that the data may have (see :attr:`ganrun.core.facts.Facts.provides`); read without importing torch."""

    class_names: tuple[str, ...] = ()
    """Of every class; empty where classes have numbers only."""

    def __init__(self, name: str, domains: Sequence[Decoded], classes: int, resampling: str, flip: bool) -> None:
        self.flip = flip
        self.storages = [Storage(domain.images) for domain in domains]
        labels = domains[0].labels if classes else None
        self.labels = None if labels is None else torch.from_numpy(labels)
        self.facts = _facts(name, domains, classes, resampling, self.class_names)
        self.device = torch.device("cpu")

    def place(self, device: str) -> None:
        """Move the images to ``device`` when they fit into a part of its memory; otherwise stream them."""
        self.device = torch.device(device)
        for storage in self.storages:
            storage.place(self.device)
        if self.labels is not None:
            self.labels = self.labels.to(self.device)

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        """Announce the next :meth:`fetch`, so that streamed images are read ahead."""
        for storage, chosen in zip(self.storages, indices, strict=True):
            storage.prefetch(chosen)

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        """Images at ``indices`` (one int64 CPU tensor per domain), float in [-1, 1], channels_last, on the device.

        Flips draw from torch's default generator of the device; without ``augment`` there are none.
        """
        images = [storage.gather(chosen) for storage, chosen in zip(self.storages, indices, strict=True)]
        if self.flip and augment:
            images = [random_flip(domain) for domain in images]
        return self._batch(images, indices[0])

    def examples(self, count: int) -> Batch:
        """``count`` images spread evenly over every domain (so over sorted classes too), never flipped.

        A domain with fewer images gives all of them.
        """
        indices = []
        for total in self.facts.count:
            taken = min(count, total)
            indices.append(torch.arange(taken) * total // taken)
        gathered = [storage.gather(chosen) for storage, chosen in zip(self.storages, indices, strict=True)]
        return self._batch(gathered, indices[0])

    def _batch(self, images: list[Tensor], first: Tensor) -> Batch:
        condition = None if self.labels is None else self.labels[first.to(self.device, non_blocking=True)]
        return Batch(tuple(normalise(domain) for domain in images), condition)


def normalise(images: Tensor) -> Tensor:
    """``[B, H, W, C]`` uint8 to ``[B, C, H, W]`` float32 in channels_last memory; 0 -> -1 and 255 -> 1 exactly."""
    return images.float().div_(127.5).sub_(1).permute(0, 3, 1, 2)


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image of ``[B, H, W, C]`` left to right with probability one half."""
    coins = torch.randint(2, (len(images),), device=images.device)
    either = torch.cat([images, images.flip(2)])  # choosing rows is several times faster than torch.where on bytes
    return either.index_select(0, torch.arange(len(images), device=images.device) + coins * len(images))


def choose(total: int, labels: np.ndarray | None, subset: int | float | None, seed: int) -> np.ndarray:
    """Sorted indices of a random subset, with as equal a number from each class as the classes allow.

    Args:
        total: how many samples there are.
        labels: ``[total]``, or ``None``.
        subset: a count (int), a fraction in (0, 1] (float) or ``None`` for everything.
        seed: the same seed chooses the same samples.

    Raises:
        DataError: the subset is empty or larger than the whole.
    """
    if subset is None:
        return np.arange(total)
    count = round(subset * total) if isinstance(subset, float) else subset
    if not 1 <= count <= total:
        raise DataError(
            f"dataset.subset={subset} asks for {count:,} of {total:,} samples. "
            f"Give a count from 1 to {total}, a fraction up to 1.0, or null for all."
        )
    order = np.random.default_rng(seed).permutation(total)
    if labels is not None:
        # Deal the shuffled samples class by class in rounds, so that small classes are used up and the rest shared.
        shuffled = labels[order]
        rounds = np.empty(total, dtype=np.int64)
        for label in np.unique(labels):
            members = np.flatnonzero(shuffled == label)
            rounds[members] = np.arange(len(members))
        order = order[np.argsort(rounds, kind="stable")]
    return np.sort(order[:count])


def _facts(name: str, domains: Sequence[Decoded], classes: int, resampling: str, class_names: tuple[str, ...]) -> Facts:
    height, width, channels = domains[0].images.shape[1:]
    count = tuple(len(domain.images) for domain in domains)
    content = [resampling, (channels, height, width), *(domain.digest for domain in domains)]
    fingerprint = hashlib.sha256(repr(content).encode()).hexdigest()
    parts = [f"{' + '.join(f'{n:,}' for n in count)} images {channels}x{height}x{width}"]
    parts += [f"{classes} classes"] if classes else []
    parts += [resampling, f"sha256 {fingerprint[:8]}"]
    return Facts(
        kind="images",
        shape=(channels, height, width),
        count=count,
        classes=classes,
        domains=len(domains),
        fingerprint=fingerprint,
        description=f"{name}: {', '.join(parts)}",
        class_names=class_names if classes else (),
    )
