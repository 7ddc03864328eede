"""Terms that are applied now and then, or whose weight changes."""

from __future__ import annotations

import pytest
import torch
from critics import LinearCritic, points

from ganrun.core.schedules import linear
from ganrun.core.types import Moment
from ganrun.losses.base import Comparison, Term
from ganrun.losses.objective import Objective
from ganrun.losses.terms.lazy import Lazy
from ganrun.losses.terms.lecam import LeCam
from ganrun.losses.terms.r1 import R1
from ganrun.losses.terms.scheduled import Scheduled
from ganrun.losses.wasserstein import Wasserstein


def at(step: int = 0, progress: float = 0.0) -> Comparison:
    return Comparison(LinearCritic([3.0, 4.0]), points(), points(), moment=Moment(step, progress))


def test_every_fourth_step_four_times_as_strong():
    objective = Objective(Wasserstein(), None, {"r1": Lazy(R1(10.0), 4)}, {}, 1, None, {})
    values = [objective.discriminator_terms(at(step)).get("r1") for step in range(8)]
    assert [None if value is None else value.item() for value in values] == [500.0, None, None, None] * 2


def test_a_silent_term_stays_silent():
    assert Lazy(LeCam(1.0, "relu", 0.9, 10), 2)(at(step=4)) is None
    assert Scheduled(LeCam(1.0, "relu", 0.9, 10), linear(0.0, 1.0, 0.5))(at(step=4)) is None


def test_schedule_multiplies():
    """R3GAN lets γ fall to a tenth."""
    term = Scheduled(R1(10.0), linear(0.0, 1.0, 0.1))
    assert [term(at(progress=p)).item() for p in (0.0, 0.5, 1.0)] == pytest.approx([125.0, 68.75, 12.5])


def test_both_tell_their_term_whose_weights_it_is_about():
    class Attached(Term):
        def attach(self, network):
            self.seen = network

    inner, network = Attached(), torch.nn.Linear(1, 1)
    Lazy(Scheduled(inner, linear(0.0, 1.0, 0.0)), 2).attach(network)
    assert inner.seen is network
