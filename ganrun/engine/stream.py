"""The endless stream of batches; its position is one number, and every order is a function of (seed, epoch)."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch import Tensor

from ganrun.core.types import Batch, Dataset
from ganrun.engine.seeding import derive_seed, fixed_seed


class Stream:
    """Batches of a data set, each domain shuffled by itself, cut evenly among processes.

    Batch ``position`` of process ``rank`` depends on nothing but (seed, position, rank), so a checkpoint needs
    ``position`` alone.

    Args:
        dataset: where samples come from.
        batch_size: samples per batch and process.
        seed: of the order.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.position = 0
        self.seconds = 0.0
        self._order = lru_cache(maxsize=2 * dataset.facts.domains)(self._shuffled)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Batch:
        started = time.perf_counter()
        with fixed_seed("batch", self.seed, self.rank, self.position):
            batch = self.dataset.fetch(self.indices(self.position))
        self.position += 1
        self.dataset.prefetch(self.indices(self.position))
        self.seconds += time.perf_counter() - started
        return batch

    @property
    def images_seen(self) -> int:
        """Samples of the first domain drawn so far by all processes."""
        return self.position * self.batch_size * self.world_size

    def indices(self, position: int) -> tuple[Tensor, ...]:
        """Indices of batch ``position``, one int64 tensor per domain."""
        first = (position * self.world_size + self.rank) * self.batch_size
        return tuple(self._take(domain, count, first) for domain, count in enumerate(self.dataset.facts.count))

    def _take(self, domain: int, count: int, first: int) -> Tensor:
        if count == 0:  # an endless source draws afresh
            return torch.arange(first, first + self.batch_size)
        pieces = []
        wanted = self.batch_size
        while wanted:
            epoch, offset = divmod(first, count)
            piece = self._order(domain, epoch)[offset : offset + wanted]
            pieces.append(piece)
            first += len(piece)
            wanted -= len(piece)
        return torch.cat(pieces) if len(pieces) > 1 else pieces[0]

    def _shuffled(self, domain: int, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(derive_seed("order", self.seed, domain, epoch))
        return torch.randperm(self.dataset.facts.count[domain], generator=generator)
