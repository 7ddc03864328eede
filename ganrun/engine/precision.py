"""In which numbers networks compute; losses, penalties and statistics always see float32.

float32 means float32: TF32, which keeps 10 bits of a product's mantissa, is used only where it is asked for by name.
PyTorch itself takes it for convolutions and not for matrix products.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ganrun.games.base import Game


def has_bf16_units(device: torch.device) -> bool:
    """Whether ``device`` multiplies bf16 in hardware: tensor cores, or on a CPU AMX tiles or AVX-512's dot products."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def resolve_precision(precision: Literal["auto", "fp32", "tf32", "bf16"], device: torch.device) -> str:
    """``fp32``, ``tf32`` or ``bf16``; a CPU has no TF32 and takes float32."""
    if precision == "auto":
        return "bf16" if has_bf16_units(device) else "fp32"
    return "fp32" if precision == "tf32" and device.type == "cpu" else precision


def prepare(game: Game, device: torch.device, precision: str) -> None:
    """Move a game to its device, lay its convolutions out channels-last and wrap its networks in autocast.

    Only the calls of whole networks (the game's direct children, or those of games that it consists of) are wrapped:
    their inside runs in bf16, what they return is float32, and no autocast region is open while a game yields.
    """
    set_cuda_modes(tf32=precision == "tf32")
    game.to(device)
    for network in _networks(game):
        if any(parameter.ndim == 4 for parameter in network.parameters()):
            network.to(memory_format=torch.channels_last)
        if precision == "bf16" and any(True for _ in network.parameters()):
            network.forward = _autocast(network.forward, device.type)


def set_cuda_modes(tf32: bool) -> None:
    """Settings of this process for CUDA: whether float32 may be TF32; the fastest algorithm for every convolution."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True  # shapes are the same in every step, so that trying pays


def _networks(game: nn.Module) -> Iterator[nn.Module]:
    for child in game.children():
        if isinstance(child, Game | nn.ModuleList):
            yield from _networks(child)
        else:
            yield child


def _autocast(forward: Callable[..., Any], device_type: str) -> Callable[..., Any]:
    @functools.wraps(forward)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device_type, dtype=torch.bfloat16):
            output = forward(*args, **kwargs)
        return tree_map(_to_float, output)

    return wrapped


def _to_float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.bfloat16 else value
