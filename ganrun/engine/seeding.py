"""Randomness as a function of (seed, rank, step), so that resuming needs no generator state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any number of parts; nearby parts give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def reseed(*parts: int | str) -> None:
    """Seed torch's default generators, on the CPU and on CUDA, from ``parts``."""
    torch.manual_seed(derive_seed(*parts))


@contextmanager
def fixed_seed(*parts: int | str) -> Iterator[None]:
    """Seed torch's default generators inside the block and put them back afterwards."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        reseed(*parts)
        yield
