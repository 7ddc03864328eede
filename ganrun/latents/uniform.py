"""Uniform latents (Radford, Metz & Chintala, *DCGAN*, ICLR 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.arguments import PositiveInt


class Uniform:
    """``z ~ U(-1, 1)`` in every coordinate; its variance is 1/3, not 1.

    Args:
        size: dimensions of a latent.
    """

    def __init__(self, size: PositiveInt) -> None:
        self.size = size

    def __call__(self, count: int, device: torch.device) -> Tensor:
        """Draw ``[count, size]``."""
        return torch.rand(count, self.size, device=device) * 2 - 1
