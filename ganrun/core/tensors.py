"""What layers, losses and statistics do to tensors alike."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor


def exact(tensor: Tensor) -> Tensor:
    """In float32 at least: float64 stays what it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """No bf16 inside the block, on the device of ``like``; its tensors should be :func:`exact` already."""
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)


def summed_over_processes(tensor: Tensor) -> Tensor:
    """``tensor``, in place the sum of what all processes that train together hand in."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor
