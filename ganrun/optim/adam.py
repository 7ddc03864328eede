"""Adam (Kingma & Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ganrun.core.arguments import NonNegative, Positive


def adam(
    parameters: Iterable[nn.Parameter],
    lr: Positive,
    betas: tuple[float, float],
    eps: Positive,
    weight_decay: NonNegative,
) -> torch.optim.Optimizer:
    """Fused Adam.

    Args:
        parameters: what it updates.
        lr: learning rate.
        betas: decay of the first and second moment.
        eps: added to the denominator.
        weight_decay: L2 penalty.
    """
    first, second = (float(beta) for beta in betas)  # torch refuses the integer 0 that YAML reads from "0"
    return torch.optim.Adam(parameters, lr=lr, betas=(first, second), eps=eps, weight_decay=weight_decay, fused=True)
