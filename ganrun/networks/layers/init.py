"""Weight initialisation."""

from __future__ import annotations

from torch import nn


def normal_init(network: nn.Module, std: float = 0.02) -> None:
    """Weights of (transposed) convolutions ~ N(0, std²), gains of batch norm ~ N(1, std²), biases 0 (DCGAN)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
