"""LeCam regularisation: values at given anchors, and how the anchors follow the scores."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.core.types import DiscriminatorOutput, Moment
from ganrun.losses.base import Comparison
from ganrun.losses.terms.lecam import LeCam

REAL = torch.tensor([1.2, -0.4, 0.3], dtype=torch.float64)
FAKE = torch.tensor([-0.7, 0.5, 2.0], dtype=torch.float64)


class Scores(nn.Module):
    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(samples,))


def compare(real=REAL, fake=FAKE, step=0):
    return Comparison(Scores(), real, fake, moment=Moment(step, 0.0))


@pytest.mark.parametrize(("form", "value"), [("relu", 1.35), ("l2", 2.10333333333)])
def test_value_at_given_anchors(monkeypatch, form, value):
    anchors = torch.tensor(0.5, dtype=torch.float64), torch.tensor(-0.3, dtype=torch.float64)
    monkeypatch.setattr(LeCam, "anchors", lambda *scores: anchors)
    assert LeCam(1.0, form, 0.99, 0)(compare()).item() == pytest.approx(value)
    assert LeCam(0.3, form, 0.99, 0)(compare()).item() == pytest.approx(0.3 * value)


def test_first_anchors_are_the_means_of_the_batch():
    """Corrected for the start at zero, and taken in before the penalty."""
    term = LeCam(1.0, "l2", 0.99, 0)
    expected = (REAL - FAKE.mean()).square().mean() + (REAL.mean() - FAKE).square().mean()
    assert term(compare()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_anchors_are_corrected_moving_averages():
    term = LeCam(1.0, "relu", 0.9, 0)
    for level in (1.0, 2.0, 4.0):
        anchor_real, anchor_fake = term.anchors((REAL * 0 + level,), (FAKE * 0 - level,))
    expected = (0.81 * 1 + 0.9 * 2 + 4) / (0.81 + 0.9 + 1)
    assert anchor_real.item() == pytest.approx(expected)
    assert anchor_fake.item() == pytest.approx(-expected)


def test_silent_until_its_start_but_following():
    term = LeCam(1.0, "relu", 0.9, 2)
    assert term(compare(REAL + 5, FAKE, step=0)) is None
    assert term(compare(REAL + 5, FAKE, step=1)) is None
    assert term(compare(REAL + 5, FAKE, step=2)) is not None
    assert term.total_weight.item() == pytest.approx(1 - 0.9**3)


def test_anchors_carry_no_gradient():
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    LeCam(1.0, "l2", 0.9, 0)(compare(real, fake)).backward()
    torch.testing.assert_close(real.grad, 2 * (REAL - FAKE.mean()) / 3, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fake.grad, 2 * (FAKE - REAL.mean()) / 3, rtol=1e-5, atol=1e-6)


def test_anchors_are_saved():
    term = LeCam(1.0, "relu", 0.9, 0)
    term(compare())
    other = LeCam(1.0, "relu", 0.9, 0)
    other.load_state_dict(term.state_dict())
    assert other(compare()).item() == term(compare()).item()
