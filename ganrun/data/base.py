"""What all image data sets share: subsets, facts, and batches made on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganrun.core.errors import DataError
from ganrun.core.facts import Facts
from ganrun.core.types import Batch
from ganrun.data.cache import Decoded
from ganrun.data.captions import Captions
from ganrun.data.storage import Rows, Storage

Split = Literal["train", "test"]
"""Part of a data set, as its makers divided it."""

View = Callable[[Tensor], Tensor]
"""What of ``[B, H, W, C]`` is seen, and how: all tensors that go through the same view stay aligned."""


class Images:
    """Decoded images of one or two domains; batches are gathered, cut out, flipped and normalised on the device.

    Args:
        name: shown in the description.
        domains: the images of each domain, all of one shape.
        classes: number of classes, 0 for unlabelled images.
        resampling: how they were resized, for the description and the fingerprint.
        flip: mirror each fetched image with probability one half.
        window: height and width that are cut out of each image, in training at random places and otherwise at the
            centre; ``None``: the whole image.
        aligned: what belongs to the first domain pixel by pixel, as many images of the same height and width; it is cut
            out and mirrored together with them.
        condition: facts of ``aligned`` (see :class:`~ganrun.core.facts.Facts`): its kind and what belongs to that.
        captions: of the first domain; batches have their vectors as condition.
    """

    provides: tuple[str, ...] = ("images",)
    """Traits that the data may have (see :attr:`ganrun.core.facts.Facts.provides`); read without importing torch."""

    class_names: tuple[str, ...] = ()
    """Of every class; empty where classes have numbers only."""

    def __init__(
        self,
        name: str,
        domains: Sequence[Decoded],
        classes: int,
        resampling: str,
        flip: bool,
        window: tuple[int, int] | None = None,
        aligned: Decoded | None = None,
        condition: Mapping[str, Any] = MappingProxyType({}),
        captions: Captions | None = None,
    ) -> None:
        self.flip = flip
        self.storages = [Storage(domain.images) for domain in domains]
        self.aligned = None if aligned is None else Storage(aligned.images)
        self.captions = captions
        sides: tuple[int, int] = domains[0].images.shape[1:3]
        self.window = None if window == sides else window
        labels = domains[0].labels if classes else None
        self.labels = None if labels is None else torch.from_numpy(labels)
        facts = _facts(name, domains, classes, resampling, self.class_names, self.window, aligned, captions)
        self.facts = replace(facts, **(condition if captions is None else captions.facts))
        self.device = torch.device("cpu")

    def place(self, device: str) -> None:
        """Move the images to ``device`` when they fit into a part of its memory; otherwise stream them."""
        self.device = torch.device(device)
        for storage in self._all_storages():
            storage.place(self.device)
        if self.labels is not None:
            self.labels = self.labels.to(self.device)
        if self.captions is not None:
            self.captions.place(self.device)

    def prefetch(self, indices: tuple[Tensor, ...]) -> None:
        """Announce a coming :meth:`fetch`, so that streamed images are read ahead."""
        for storage, chosen in zip(self.storages, indices, strict=True):
            storage.prefetch(chosen)
        if self.aligned is not None:
            self.aligned.prefetch(indices[0])

    def fetch(self, indices: tuple[Tensor, ...], augment: bool = True) -> Batch:
        """Images at ``indices`` (one int64 CPU tensor per domain), float in [-1, 1], channels_last, on the device.

        Flips, places and captions draw from torch's default generator of the device; without ``augment`` there are no
        flips, the place is the centre, and the caption the first.
        """
        images, condition = [], None
        rows = [Rows.on(self.device, chosen) for chosen in indices]
        for domain, (storage, chosen) in enumerate(zip(self.storages, rows, strict=True)):
            whole = storage.gather(chosen)
            view = self._view(whole, augment)
            images.append(normalise(view(whole)))
            if domain == 0:
                condition = self.condition_of(chosen, view)
        if self.captions is not None:
            condition = self.captions.vectors_of(rows[0].device, at_random=augment)
        return Batch(tuple(images), condition)

    def examples(self, count: int) -> Batch:
        """``count`` images spread evenly over every domain (so over sorted classes too), never flipped.

        A domain with fewer images gives all of them.
        """
        indices = []
        for total in self.facts.count:
            taken = min(count, total)
            indices.append(torch.arange(taken) * total // taken)
        batch = self.fetch(tuple(indices), augment=False)
        return batch if self.captions is None else replace(batch, texts=self.captions.first_of(indices[0]))

    def condition_of(self, rows: Rows, view: View) -> Tensor | None:
        """What goes with the images of the first domain at ``rows``, seen as they are."""
        if self.aligned is not None:
            aligned = view(self.aligned.gather(rows))
            return aligned[..., 0].long() if self.facts.condition == "maps" else normalise(aligned)
        return None if self.labels is None else self.labels[rows.device]

    def _view(self, images: Tensor, augment: bool) -> View:
        """How a batch is seen: the same for all that belongs to it."""
        cut = _whole if self.window is None else cut_out(images, self.window, augment)
        mirror = random_flip(len(images), images.device) if self.flip and augment else _whole
        return lambda images: mirror(cut(images))

    def _all_storages(self) -> list[Storage]:
        return self.storages if self.aligned is None else [*self.storages, self.aligned]


def normalise(images: Tensor) -> Tensor:
    """``[B, H, W, C]`` uint8 to ``[B, C, H, W]`` float32 in channels_last memory; 0 -> -1 and 255 -> 1 exactly."""
    return images.float().div_(127.5).sub_(1).permute(0, 3, 1, 2)


def random_flip(count: int, device: torch.device) -> View:
    """Mirror each image of ``[count, H, W, C]`` left to right with probability one half."""
    coins = torch.randint(2, (count,), device=device)
    rows = torch.arange(count, device=device) + coins * count

    def flip(images: Tensor) -> Tensor:
        either = torch.cat([images, images.flip(2)])  # choosing rows is several times faster than torch.where on bytes
        return either.index_select(0, rows)

    return flip


def cut_out(images: Tensor, window: tuple[int, int], at_random: bool) -> View:
    """A window of each image of ``[B, H, W, C]``, ``[B, *window, C]``: at random places, or at the centre."""
    count, *sides = images.shape[:3]
    slices = []
    for side, kept in zip(sides, window, strict=True):
        room = side - kept
        if at_random:
            first = torch.randint(room + 1, (count, 1), device=images.device)
        else:
            first = torch.full((count, 1), room // 2, device=images.device)
        slices.append(first + torch.arange(kept, device=images.device))
    rows, columns = slices
    each = torch.arange(count, device=images.device)[:, None, None]
    return lambda images: images[each, rows[:, :, None], columns[:, None, :]]


def window_of(size: int | None, load_size: int | None) -> tuple[int, int] | None:
    """What is cut out of images of side ``load_size``; ``None``: they are decoded at ``size`` and used whole.

    Raises:
        DataError: there is no such window.
    """
    if load_size is None:
        return None
    if size is None or size > load_size:
        raise DataError(
            f"dataset.load_size={load_size} is the side of images of which squares of dataset.size are cut out, and "
            f"that is {'null' if size is None else size}. Set dataset.size to {load_size} or less, or "
            "dataset.load_size=null"
        )
    return size, size


def _whole(images: Tensor) -> Tensor:
    return images


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


def _facts(
    name: str,
    domains: Sequence[Decoded],
    classes: int,
    resampling: str,
    class_names: tuple[str, ...],
    window: tuple[int, int] | None,
    aligned: Decoded | None,
    captions: Captions | None,
) -> Facts:
    height, width, channels = domains[0].images.shape[1:]
    count = tuple(len(domain.images) for domain in domains)
    content = [resampling, (channels, height, width), *(domain.digest for domain in domains)]
    content += [] if window is None else [window]
    content += [] if aligned is None else [aligned.digest]
    content += [] if captions is None else [captions.digest]
    fingerprint = hashlib.sha256(repr(content).encode()).hexdigest()
    cut = "" if window is None else f", cut out of {width}x{height}"
    height, width = window or (height, width)
    parts = [f"{' + '.join(f'{n:,}' for n in count)} images {channels}x{height}x{width}{cut}"]
    parts += [f"{classes} classes"] if classes else []
    parts += [] if captions is None else [str(captions)]
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
