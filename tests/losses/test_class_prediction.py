"""The classifier's loss of AC-GAN."""

from __future__ import annotations

import pytest
import torch
from critics import Given, LinearCritic

from ganrun.core.errors import RunError
from ganrun.losses.base import Comparison
from ganrun.losses.terms.class_prediction import ClassPrediction

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]], dtype=torch.float64)
UNSURE = torch.zeros(2, 3, dtype=torch.float64)
LABELS = torch.tensor([0, 2])
SURPRISE = 0.634229154112


@pytest.mark.parametrize(
    ("samples", "value"),
    [("real", SURPRISE), ("fake", 1.09861228867), ("both", SURPRISE + 1.09861228867)],
)
def test_cross_entropy_of_raw_logits(samples, value):
    comparison = Comparison(Given(), LOGITS, UNSURE, LABELS)
    assert ClassPrediction(1.0, samples)(comparison).item() == pytest.approx(value)
    assert ClassPrediction(0.1, samples)(comparison).item() == pytest.approx(0.1 * value)


def test_generator_learns_from_the_fakes():
    fake = UNSURE.clone().requires_grad_()
    ClassPrediction(1.0, "fake")(Comparison(Given(), LOGITS, fake, LABELS)).backward()
    third = 1 / 6
    expected = [[-2 * third, third, third], [third, third, -2 * third]]  # (softmax - one-hot) / 2
    torch.testing.assert_close(fake.grad, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("labels", [None, LABELS])
def test_says_what_is_missing(labels):
    critic = Given() if labels is None else LinearCritic([1.0, 1.0, 1.0])
    with pytest.raises(RunError, match=r"conditioning=classifier"):
        ClassPrediction(1.0, "both")(Comparison(critic, LOGITS, UNSURE, labels))
