"""Normal latents."""

from __future__ import annotations

import torch
from torch import Tensor

from ganrun.core.arguments import PositiveInt


class Normal:
    """``z ~ N(0, I)``.

    Args:
        size: dimensions of a latent.
    """

    def __init__(self, size: PositiveInt) -> None:
        self.size = size

    def __call__(self, count: int, device: torch.device) -> Tensor:
        """Draw ``[count, size]``."""
        return torch.randn(count, self.size, device=device)
