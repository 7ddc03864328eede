"""Training of the small networks that metrics need."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


def fit(
    name: str,
    network: nn.Module,
    count: int,
    loss: Callable[[Tensor], Tensor],
    measure: Callable[[], float],
    epochs: int,
    patience: int,
    batch_size: int,
    lr: float,
) -> tuple[dict[str, Tensor], float]:
    """Train by Adam until what is measured has not risen for some epochs, with torch's default generator.

    Args:
        name: of the network, for the log.
        network: in training mode during the steps, and in evaluation mode where it is measured.
        count: training samples.
        loss: indices of some training samples -> what is minimised.
        measure: how good the network is; called after every epoch.
        epochs: at most so many passes.
        patience: epochs without a gain after which training stops.
        batch_size: samples per step.
        lr: learning rate.

    Returns:
        The best weights, and what was measured of them.
    """
    begin = time.monotonic()
    best, reached, best_epoch, epoch = copy.deepcopy(network.state_dict()), float("-inf"), 0, 0
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    for epoch in range(1, epochs + 1):
        network.train()
        for indices in torch.randperm(count).split(batch_size):
            if len(indices) == 1:  # batch norm needs two
                continue
            with torch.enable_grad():
                value = loss(indices)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            now = measure()
        if now > reached:
            best, reached, best_epoch = copy.deepcopy(network.state_dict()), now, epoch
        elif epoch - best_epoch >= patience:
            break
    log.info("trained the %s for %d epochs in %.1f s", name, epoch, time.monotonic() - begin)
    return best, reached
