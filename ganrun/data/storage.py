"""Decoded images held on the device when they fit there, and streamed from the disk otherwise."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganrun.core.types import READ_AHEAD

_SHARE = 0.4  # of the device's free memory (on a CPU: of the machine's) that images may take; the rest is for training


def memory(device: torch.device) -> int:
    """Bytes that images and training share: what is free on a GPU, what the machine has on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Rows(NamedTuple):
    """Indices (int64) of samples, where they are needed.

    Args:
        host: on the CPU, to read from the disk by.
        device: on the device, to gather by.
    """

    host: Tensor
    device: Tensor

    @classmethod
    def on(cls, device: torch.device, indices: Tensor) -> Rows:
        """Indices on the CPU, copied to ``device`` without waiting for what it is doing."""
        if device.type != "cuda":
            return cls(indices, indices)
        return cls(indices, indices.pin_memory().to(device, non_blocking=True))


class Storage:
    """One domain of uint8 images, gathered by index.

    Args:
        images: ``[N, H, W, C]`` uint8, usually a memory map.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.source = torch.from_numpy(images)
        self.place(torch.device("cpu"))

    def place(self, device: torch.device) -> None:
        """Hold the images on ``device`` if they fit, or prepare to stream them to it."""
        self.device = device
        self.streamed = self.source.nbytes > _SHARE * memory(device)
        # On a CPU a memory map that fits is as good as a copy: the kernel keeps its pages and processes share them.
        self.held = self.source if self.streamed else self.source.to(device)
        # A reader mostly waits for the disk, page by page; several of them keep it busy.
        self._readers = ThreadPoolExecutor(READ_AHEAD, "read-ahead") if self.streamed else None
        self._ahead: deque[tuple[Tensor, Future[Tensor]]] = deque(maxlen=READ_AHEAD)

    def prefetch(self, indices: Tensor) -> None:
        """Start reading what a later :meth:`gather` will ask for, where that takes time; the oldest is forgotten."""
        if self._readers is not None:
            self._ahead.append((indices, self._readers.submit(self._read, indices)))

    def gather(self, rows: Rows) -> Tensor:
        """The images at ``rows``, ``[B, H, W, C]`` uint8."""
        if not self.streamed:
            return self.held.index_select(0, rows.device)
        return self._taken(rows.host).to(self.device, non_blocking=True)

    def _taken(self, indices: Tensor) -> Tensor:
        for place, (announced, images) in enumerate(self._ahead):
            if torch.equal(announced, indices):
                for _ in range(place + 1):  # and what was announced before, which has been passed over
                    self._ahead.popleft()
                return images.result()
        return self._read(indices)

    def _read(self, indices: Tensor) -> Tensor:
        pinned = self.device.type == "cuda"
        images = torch.empty(len(indices), *self.source.shape[1:], dtype=self.source.dtype, pin_memory=pinned)
        # numpy copies without the interpreter lock, and torch would start a team of threads per reader. "clip", because
        # "raise" goes through a buffer; no index is out of range.
        np.take(self.source.numpy(), indices.numpy(), axis=0, out=images.numpy(), mode="clip")
        return images
