"""What layers, losses and statistics do to tensors alike."""

from __future__ import annotations

import torch
from torch import Tensor


def exact(tensor: Tensor) -> Tensor:
    """In float32 at least: float64 stays what it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
