"""What is done to tensors in many places."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

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


def one_hot(labels: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """``[B]`` -> ``[B, classes]``; torch's own function looks at the labels, for which the device must be waited."""
    return (labels[:, None] == torch.arange(classes, device=labels.device)).to(dtype)


def paint(maps: Tensor, palette: Sequence[tuple[str, int, int, int]]) -> Tensor:
    """Label maps ``[B, H, W]`` (int64) as images ``[B, 3, H, W]`` in [-1, 1].

    Args:
        maps: numbers of classes.
        palette: name, red, green and blue (0 to 255) of every class.
    """
    colours = torch.tensor([colour for _, *colour in palette], dtype=torch.float32, device=maps.device)
    return (colours / 127.5 - 1)[maps].permute(0, 3, 1, 2)


def snapshot(state: Any) -> Any:
    """A copy, with all tensors on the CPU, of nested dicts, lists and tuples; a GPU is waited for once.

    It shares no memory with what training goes on to change.
    """
    copied = _copied(state)
    if torch.cuda.is_initialized():
        torch.cuda.current_stream().synchronize()
    return copied


def _copied(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _copied(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_copied(value) for value in state)
    if not isinstance(state, Tensor):
        return state
    if state.is_cuda:  # Python does not wait for a copy into pinned memory
        return torch.empty_like(state.detach(), device="cpu", pin_memory=True).copy_(state.detach(), non_blocking=True)
    return state.detach().clone()
