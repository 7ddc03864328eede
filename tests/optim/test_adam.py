"""Adam's settings beside a term that is applied now and then."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.optim.adam import adam


def settings(lazy_every: int | None, lr: float = 0.002, betas: tuple[float, float] = (0, 0.99)) -> list[float]:
    parameters = [nn.Parameter(torch.zeros(1))]
    (group,) = adam(parameters, lr, betas, 1e-8, 0.0, lazy_every).param_groups
    return [group["lr"], *group["betas"]]


def test_lazy_regularisation_slows_adam_down():
    assert settings(16) == pytest.approx([0.00188235294118, 0.0, 0.990585457307])
    assert settings(4, 1.0, (0.5, 0.9)) == pytest.approx([0.8, 0.5**0.8, 0.9**0.8])


def test_settings_stay_without():
    assert settings(None) == [0.002, 0.0, 0.99]
