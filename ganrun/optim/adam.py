"""Adam (Kingma & Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ganrun.core.arguments import NonNegative, Positive, PositiveInt


def adam(
    parameters: Iterable[nn.Parameter],
    lr: Positive,
    betas: tuple[float, float],
    eps: Positive,
    weight_decay: NonNegative,
    lazy_every: PositiveInt | None,
) -> torch.optim.Optimizer:
    """Fused Adam.

    Args:
        parameters: what it updates.
        lr: learning rate.
        betas: decay of the first and second moment.
        eps: added to the denominator.
        weight_decay: L2 penalty.
        lazy_every: k of a term that is applied in every k-th step only: Adam then takes ``lr·c`` and ``betas^c`` with
            c = k / (k + 1), as if loss and term were two steps (Karras et al., *StyleGAN2*, 2020, appendix B);
            ``None``: there is no such term.
    """
    first, second = (float(beta) for beta in betas)  # torch refuses the integer 0 that YAML reads from "0"
    if lazy_every is not None:
        share = lazy_every / (lazy_every + 1)
        lr, first, second = lr * share, first**share, second**share
    return torch.optim.Adam(parameters, lr=lr, betas=(first, second), eps=eps, weight_decay=weight_decay, fused=True)
