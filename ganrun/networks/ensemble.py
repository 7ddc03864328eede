"""Several generators that play as one (Arora et al., *Generalization and Equilibrium in GANs*, ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Every sample comes from one of K generators, each with the same share of every batch: ``p_g = (1/K) Σ p_k``.

    The batch is shuffled and cut into K parts of equal size. Where that is so only to within one sample, part i goes to
    generator ``i + shift`` with a random shift, which favours none. The first samples, or those of a class, so come
    from all generators. K = 1 draws nothing and is the plain generator.

    Args:
        generators: with the same signature and output.

    Shapes: those of the generators.
    """

    def __init__(self, generators: Sequence[nn.Module]) -> None:
        super().__init__()
        self.generators = nn.ModuleList(generators)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        count = len(self.generators)
        if count == 1:
            return self.generators[0](z, condition)
        # The number is the CPU's: nothing waits for the device, but such steps cannot be recorded.
        shift = int(torch.randint(count, ())) if len(z) % count else 0
        order = torch.randperm(len(z), device=z.device)
        latents = z[order].tensor_split(count)
        conditions = [None] * count if condition is None else condition[order].tensor_split(count)
        samples = torch.cat(
            [
                self.generators[(index + shift) % count](part, labels)
                for index, (part, labels) in enumerate(zip(latents, conditions, strict=True))
                if len(part)
            ]
        )
        return samples[order.argsort()]
