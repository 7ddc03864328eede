"""Historical averaging of a parameter whose past is known."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from critics import points
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.terms.historical_averaging import HistoricalAveraging


class Number(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(self.theta * samples[:, 0],))


class Pair(nn.Module):
    """A network beside the term on it, as a game has them."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Number()
        self.term = HistoricalAveraging(1.0)
        self.term.attach(self.network)

    def at(self, theta: float) -> torch.Tensor:
        self.network.theta.data.fill_(theta)
        return self.term(Comparison(self.network, points(), points()))


def test_average_takes_in_the_present_and_is_a_constant():
    pair = Pair()
    assert pair.at(1.0).item() == 0.0
    assert pair.at(3.0).item() == pytest.approx(1.0)
    penalty = pair.at(5.0)
    penalty.backward()
    assert penalty.item() == pytest.approx(4.0)  # (5 - 3)²
    assert pair.network.theta.grad.item() == pytest.approx(4.0)  # not 8/3, as if the average could move


def test_constant_parameters_cost_nothing():
    pair = Pair()
    assert [pair.at(0.7).item() for _ in range(5)] == pytest.approx([0.0] * 5, abs=1e-30)


def test_repeated_calls_on_the_same_parameters_leave_the_average():
    """Micro-batches: each of k calls per move sees the same parameters."""
    pair = Pair()
    for theta in (1.0, 1.0, 3.0, 3.0, 5.0, 5.0):
        last = pair.at(theta)
    assert last.item() == pytest.approx(4.0)


def test_history_is_saved():
    pair, other = Pair(), Pair()
    pair.at(1.0)
    pair.at(3.0)
    other.load_state_dict(pair.state_dict())
    assert other.at(5.0).item() == pytest.approx(4.0)


def test_copies_have_a_history_and_a_network_of_their_own():
    pair = Pair()
    pair.at(1.0)
    other = deepcopy(pair)
    other.at(3.0)
    penalty = other.at(5.0)
    penalty.backward()
    assert penalty.item() == pytest.approx(4.0)
    assert other.network.theta.grad.item() == pytest.approx(4.0)
    assert pair.network.theta.grad is None
    assert pair.term.moves.item() == 1


def test_moving_the_network_keeps_the_reference():
    pair = Pair().float()
    pair.at(1.0)
    assert pair.at(3.0).dtype == torch.float32
    pair.at(5.0).backward()
    assert pair.network.theta.grad.item() == pytest.approx(4.0)
