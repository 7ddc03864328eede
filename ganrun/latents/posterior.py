"""What a stochastic encoder says of a latent (Kingma & Welling, *Auto-Encoding Variational Bayes*, ICLR 2014)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ganrun.core.tensors import exact


class Posterior(NamedTuple):
    """``q(z|x) = N(mean, diag exp log_variance)``.

    Args:
        mean: ``[B, size]``.
        log_variance: ``[B, size]``.
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def read(cls, output: Tensor) -> Posterior:
        """From an encoder's output ``[B, 2 · size]``: the means, then the logarithms of the variances."""
        mean, log_variance = exact(output).chunk(2, dim=1)
        return cls(mean, log_variance)

    def draw(self) -> Tensor:
        """A latent for every sample, through which gradients flow to both parts (appendix B)."""
        return self.mean + (self.log_variance / 2).exp() * torch.randn_like(self.mean)

    def divergence(self) -> Tensor:
        """``KL(q(z|x) ‖ N(0, I))`` in nats, summed over dimensions, ``[B]``."""
        return (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(1) / 2
