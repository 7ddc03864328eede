"""Decoded images held on the device when they fit there, and streamed from the disk otherwise."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

_SHARE = 0.4  # of the device's free memory (on a CPU: of the machine's) that images may take; the rest is for training


def memory(device: torch.device) -> int:
    """Bytes that images and training share: what is free on a GPU, what the machine has on a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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
        self._reader = ThreadPoolExecutor(1, "read-ahead") if self.streamed else None
        self._ahead: tuple[Tensor, Future[Tensor]] | None = None

    def prefetch(self, indices: Tensor) -> None:
        """Start reading what the next :meth:`gather` will ask for, where that takes time."""
        if self._reader is not None:
            self._ahead = indices, self._reader.submit(self._read, indices)

    def gather(self, indices: Tensor) -> Tensor:
        """The images at ``indices`` (int64, on the CPU), ``[B, H, W, C]`` uint8."""
        if not self.streamed:
            return self.held.index_select(0, indices.to(self.device, non_blocking=True))
        ahead, self._ahead = self._ahead, None
        matches = ahead is not None and torch.equal(ahead[0], indices)
        images = ahead[1].result() if ahead is not None and matches else self._read(indices)
        return images.to(self.device, non_blocking=True)

    def _read(self, indices: Tensor) -> Tensor:
        images = self.source.index_select(0, indices)
        return images.pin_memory() if self.device.type == "cuda" else images
