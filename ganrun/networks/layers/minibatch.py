"""Layers that let a discriminator see how a sample differs from the others of its batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganrun.core.tensors import exact


class MinibatchDiscrimination(nn.Module):
    """Closeness to the other samples of the batch, in learned projections.

    Salimans et al., *Improved Techniques for Training GANs*, NeurIPS 2016, arXiv 1606.03498, section 3.2:
    ``M_i = f(x_i) T``, ``o(x_i)_b = Σ_{j ≠ i} exp(-‖M_ib - M_jb‖₁) / (N - 1)``.

    Differs from the paper: the sum leaves out the sample itself, as the published code does, and is divided by the
    number of the others, so that it does not depend on the batch size: 1 among copies, 0 far from all others and in a
    batch of one. T is not weight-normalised.

    Args:
        features: A, numbers per sample.
        kernels: B, statistics per sample.
        kernel_size: C, dimensions in which each is measured.

    Shapes: ``[N, C, *positions]`` with A = C · positions -> ``[N, C + kernels, *positions]``, the statistics being
    constant over positions. Memory grows with N² · kernels · kernel_size.
    """

    couples_samples = True

    def __init__(self, features: int, kernels: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_shape = (kernels, kernel_size)
        self.projection = nn.Linear(features, kernels * kernel_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        projected = self.projection(hidden.flatten(1)).unflatten(1, self.kernel_shape)
        projected = exact(projected)
        distance = (projected[:, None] - projected[None]).abs().sum(3)  # [N, N, kernels]
        closeness = (-distance).exp().sum(1) - 1  # without the sample itself, whose distance is 0
        return _append(hidden, closeness / max(len(hidden) - 1, 1))


class MinibatchStandardDeviation(nn.Module):
    """Mean standard deviation within a group of samples, as one more channel.

    Karras et al., *Progressive Growing of GANs*, ICLR 2018, arXiv 1710.10196, section 3; groups as in their later
    published code, and 1e-8 added to the variance below the root. A batch of N is cut into groups of G; samples i,
    i + N/G, i + 2N/G, ... form one.

    Args:
        group: samples per group; where it does not divide the batch, the largest divisor of N below it serves.

    Shapes: ``[N, C, *positions]`` -> ``[N, C + 1, *positions]``.
    """

    couples_samples = True

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, hidden: Tensor) -> Tensor:
        count = len(hidden)
        group = next(size for size in range(min(self.group, count), 0, -1) if count % size == 0)
        grouped = hidden.unflatten(0, (group, count // group))
        grouped = exact(grouped)
        deviation = (grouped.var(0, correction=0) + 1e-8).sqrt().flatten(1).mean(1)  # [N / G]
        return _append(hidden, deviation.repeat(group)[:, None])


def minibatch_layer(
    minibatch: str, channels: int, positions: int, kernels: int, kernel_size: int, group: int
) -> tuple[nn.Module, int]:
    """The layer of a name, and how many channels come out of it.

    Args:
        minibatch: ``none``, ``discrimination`` or ``stddev``.
        channels: of its input.
        positions: of its input; 1 for vectors.
        kernels: of ``discrimination``.
        kernel_size: of ``discrimination``.
        group: of ``stddev``.

    Raises:
        ValueError: an unknown name.
    """
    if minibatch == "none":
        return nn.Identity(), channels
    if minibatch == "discrimination":
        return MinibatchDiscrimination(channels * positions, kernels, kernel_size), channels + kernels
    if minibatch == "stddev":
        return MinibatchStandardDeviation(group), channels + 1
    raise ValueError(f"unknown minibatch layer {minibatch!r}; choose none, discrimination or stddev")


def _append(hidden: Tensor, statistics: Tensor) -> Tensor:
    """``[N, C, *positions]`` and ``[N, k]`` -> ``[N, C + k, *positions]``."""
    planes = statistics.to(hidden.dtype).unflatten(1, (-1, *[1] * (hidden.ndim - 2)))
    return torch.cat([hidden, planes.expand(-1, -1, *hidden.shape[2:])], dim=1)
