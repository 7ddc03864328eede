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
    """Seed torch's default generators, on the CPU and on the current CUDA device, from ``parts``."""
    seed = derive_seed(*parts)
    for generator in _generators():
        generator.manual_seed(seed)


@contextmanager
def fixed_seed(*parts: int | str) -> Iterator[None]:
    """Seed torch's default generators inside the block and put them back afterwards."""
    states = [(generator, generator.get_state()) for generator in _generators()]
    reseed(*parts)
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


def _generators() -> list[torch.Generator]:
    """Every step seeds them anew, and ``torch.manual_seed`` with its look at every kind of device takes its time."""
    if not torch.cuda.is_initialized():
        return [torch.default_generator]
    return [torch.default_generator, torch.cuda.default_generators[torch.cuda.current_device()]]
