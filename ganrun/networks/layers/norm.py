"""Normalisation layers by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from ganrun.networks.layers.condition import ConditionalNorm
from ganrun.networks.layers.virtual_batch_norm import VirtualBatchNorm

Norm = Literal["batch", "instance", "layer", "none"]


def norm_layer(norm: str, channels: int, classes: int = 0, reference: int = 0) -> nn.Module:
    """A normalisation of ``[B, channels, H, W]``.

    Args:
        norm: ``batch`` (affine), ``instance`` (no affine, no running statistics), ``layer`` (over C, H, W with affine
            per channel), ``virtual`` (affine, against a reference batch) or ``none``.
        channels: channels of the input.
        classes: number of classes, each with gains and biases of its own; 0: none.
        reference: samples of the reference batch of ``virtual``.

    Raises:
        ValueError: an unknown name, or an ``auto`` that was never resolved; ``none`` with classes.
    """
    if classes:
        if norm == "none":
            raise ValueError("conditioning=batch_norm gives every class its own gains of a norm, and norm is none")
        return ConditionalNorm(_plain(norm, channels, reference, affine=False), channels, classes)
    return _plain(norm, channels, reference, affine=True)


def _plain(norm: str, channels: int, reference: int, affine: bool) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels, affine=affine)
    if norm == "instance":
        return nn.InstanceNorm2d(channels)
    if norm == "layer":
        return nn.GroupNorm(1, channels, affine=affine)
    if norm == "virtual":
        return VirtualBatchNorm(channels, reference, affine)
    if norm == "none":
        return nn.Identity()
    raise ValueError(f"unknown norm {norm!r}; choose batch, instance, layer, virtual or none")
