"""Several generators behind the signature of one (a mixture: Hoang et al., *MGAN*, ICLR 2018, arXiv 1708.02556)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Every generator makes its share of each batch, so that together they may cover what one would drop.

    A batch is cut into K parts, equal but for one sample; which generator gets which part is shifted at random, so that
    each makes every position of the batch equally often. Differs from the paper: no classifier tells the generators
    apart. With a single generator nothing is drawn, and its samples are those of the generator itself.

    Args:
        generators: each ``generator(z, condition)`` -> samples; batch norm sees a generator's own part only.

    Shapes: ``[B, n]`` (and ``[B]`` labels) -> ``[B, ...]``.

    Raises:
        ValueError: there are no generators.
    """

    def __init__(self, generators: Sequence[nn.Module]) -> None:
        super().__init__()
        if not generators:
            raise ValueError("an ensemble needs at least one generator")
        self.generators = nn.ModuleList(generators)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        count = len(self.generators)
        shift = int(torch.randint(count, (), device="cpu")) if count > 1 else 0
        conditions = [None] * count if condition is None else condition.tensor_split(count)
        parts = [
            self.generators[(index + shift) % count](part, labels)
            for index, (part, labels) in enumerate(zip(z.tensor_split(count), conditions, strict=True))
            if len(part)
        ]
        return torch.cat(parts)
