"""Layers with an equalised learning rate (Karras et al., *Progressive Growing of GANs*, ICLR 2018, section 4.1).

Weights are drawn from N(0, 1) and divided by √fan-in whenever they are used, so that Adam, whose steps do not depend on
the scale of gradients, moves the effective weights of all layers at the same relative speed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear


def leaky(hidden: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2, times √2: keeps the second moment up to a factor 1.04."""
    return leaky_relu(hidden, 0.2) * math.sqrt(2)


class EqualisedLinear(nn.Module):
    """``W x / √fan-in + b``.

    Args:
        inputs: features in.
        outputs: features out.
        bias: initial value of b.
        rate: learning rate relative to that of other layers; the initial effective weights do not depend on it.

    Shapes: ``[B, inputs]`` -> ``[B, outputs]``.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.gain = rate / math.sqrt(inputs)
        self.rate = rate

    def forward(self, hidden: Tensor) -> Tensor:
        return linear(hidden, self.weight * self.gain, self.bias * self.rate)


class EqualisedConv2d(nn.Module):
    """``W * x / √fan-in + b``, b = 0 in the beginning.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel_size: side of the kernel.
        stride: 1 keeps the size of the maps; a larger one adds no padding.
        bias: whether there is a b.

    Shapes: ``[B, inputs, H, W]`` -> ``[B, outputs, H, W]``.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain = 1 / math.sqrt(inputs * kernel_size**2)
        self.stride = stride
        self.padding = kernel_size // 2 if stride == 1 else 0

    def forward(self, hidden: Tensor) -> Tensor:
        return conv2d(hidden, self.weight * self.gain, self.bias, self.stride, self.padding)
