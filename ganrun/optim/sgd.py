"""Stochastic gradient descent with momentum (Polyak, *Some methods of speeding up the convergence*, 1964)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from torch import nn

from ganrun.core.arguments import NonNegative, Positive


def sgd(
    parameters: Iterable[nn.Parameter],
    lr: Positive,
    momentum: Annotated[float, ">= 0", "< 1"],
    weight_decay: NonNegative,
) -> torch.optim.Optimizer:
    """``v ← momentum · v + gradient``, ``θ ← θ - lr · v``; fused.

    Args:
        parameters: what it updates.
        lr: learning rate.
        momentum: share of the last step's direction that is kept; 0: none.
        weight_decay: L2 penalty.
    """
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
