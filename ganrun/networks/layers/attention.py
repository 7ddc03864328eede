"""Self-attention over positions (Zhang et al., *Self-Attention GANs*, ICML 2019, arXiv 1805.08318, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from ganrun.core.tensors import exact
from ganrun.networks.layers.sizes import for_size


class SelfAttention(nn.Module):
    """``x + γ W_o (g(x) softmax(θ(x)ᵀ φ(x))ᵀ)``: every position looks at all others; γ is learned and begins at 0.

    Differs from the paper's text, as its published code does: keys φ and values g are max-pooled to half the side, and
    values have half the channels of x, not an eighth. Queries and keys have an eighth. All are 1x1 without bias.

    Args:
        channels: of the input, at least 8.

    Shapes: ``[B, channels, H, W]`` with even sides -> the same. Memory grows with B · (H · W)² / 4.

    Raises:
        ValueError: ``channels`` is below 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(
                f"self-attention needs 8 channels or more, for queries have an eighth of them; got {channels}"
            )
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.output = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Tensor) -> Tensor:
        value = max_pool2d(self.value(hidden), 2).flatten(2)  # [B, C / 2, N / 4]
        attended = value @ self.weights(hidden).to(value.dtype).transpose(1, 2)
        return hidden + self.gamma * self.output(attended.unflatten(2, hidden.shape[2:]))

    def weights(self, hidden: Tensor) -> Tensor:
        """Where every position looks: ``[B, H · W, H · W / 4]``, rows sum to 1."""
        query = self.query(hidden).flatten(2).transpose(1, 2)
        key = max_pool2d(self.key(hidden), 2).flatten(2)
        return exact(query @ key).softmax(2)


def attended_sides(attention: Mapping[str, Sequence[int]], size: int, sides: Sequence[int]) -> frozenset[int]:
    """The sides at which maps attend to themselves, from a table by size of the image.

    Args:
        attention: from the side of the image, as text, to sides of maps.
        size: side of the image.
        sides: those that occur.

    Raises:
        ValueError: ``attention`` has no entry for ``size``, or one that no maps have.
    """
    wanted = frozenset(for_size(attention, size, "attention"))
    if missing := sorted(wanted - set(sides)):
        raise ValueError(f"attention.{size} wants maps of side {missing[0]}; there are {', '.join(map(str, sides))}")
    return wanted
