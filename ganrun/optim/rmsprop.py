"""RMSprop (Tieleman & Hinton, *Lecture 6.5: rmsprop*, 2012)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ganrun.core.arguments import Fraction, NonNegative, Positive


def rmsprop(
    parameters: Iterable[nn.Parameter], lr: Positive, alpha: Fraction, eps: Positive, weight_decay: NonNegative
) -> torch.optim.Optimizer:
    """RMSprop without momentum, over all tensors at once.

    Args:
        parameters: what it updates.
        lr: learning rate.
        alpha: decay of the squared-gradient average.
        eps: added to the denominator.
        weight_decay: L2 penalty.
    """
    return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, foreach=True)
