"""Fully connected layers."""

from __future__ import annotations

from torch import nn

from ganrun.networks.layers.norm import norm_layer


def dense(narrow: int, wide: int, norm: str, activation: nn.Module, bias: bool = True) -> nn.Sequential:
    """``[B, narrow]`` -> ``[B, wide]``: a linear map, a normalisation of every unit, an activation.

    Args:
        narrow: units of the input.
        wide: units of the output.
        norm: as in :func:`~ganrun.networks.layers.norm.norm_layer`.
        activation: at the end.
        bias: of the linear map.
    """
    normalise = nn.Sequential(nn.Unflatten(1, (wide, 1, 1)), norm_layer(norm, wide), nn.Flatten())
    return nn.Sequential(nn.Linear(narrow, wide, bias=bias), normalise, activation)
