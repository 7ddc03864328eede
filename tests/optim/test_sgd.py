"""Gradient descent with momentum, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.optim.sgd import sgd


def test_momentum_keeps_a_share_of_the_last_step():
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = sgd([weight], lr=0.1, momentum=0.5, weight_decay=0.0)
    places = []
    for gradient in (2.0, 0.0, -1.0):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        places.append(weight.item())
    assert places == pytest.approx([0.8, 0.7, 0.75])  # steps -0.2; -0.1; -0.05 + 0.1


def test_decay_is_a_gradient_towards_zero():
    weight = nn.Parameter(torch.tensor([1.0]))
    weight.grad = torch.tensor([0.0])
    sgd([weight], lr=0.1, momentum=0.0, weight_decay=0.5).step()
    assert weight.item() == pytest.approx(0.95)
