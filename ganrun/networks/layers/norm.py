"""Normalisation layers by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["batch", "instance", "layer", "none"]


def norm_layer(norm: str, channels: int) -> nn.Module:
    """A normalisation of ``[B, channels, H, W]``.

    Args:
        norm: ``batch`` (affine), ``instance`` (no affine, no running statistics), ``layer`` (over C, H, W with affine
            per channel) or ``none``.
        channels: channels of the input.

    Raises:
        ValueError: an unknown name, or an ``auto`` that was never resolved.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"unknown norm {norm!r}; choose batch, instance, layer or none")
