"""Losses at fixed outputs, at equilibrium and in their gradients, against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison, couples_samples
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.wasserstein import Wasserstein

REAL = torch.tensor([1.2, -0.4, 0.3], dtype=torch.float64)
FAKE = torch.tensor([-0.7, 0.5, 2.0], dtype=torch.float64)


def scores_of(samples: torch.Tensor, condition: object = None) -> DiscriminatorOutput:
    """A discriminator whose scores are the samples themselves."""
    return DiscriminatorOutput(scores=(samples,))


class Scores(nn.Module):
    def forward(self, samples, condition=None):
        return scores_of(samples)


def losses(loss, real=REAL, fake=FAKE) -> tuple[float, float]:
    discriminator = sum(loss.discriminator_terms(Comparison(Scores(), real, fake)).values())
    generator = sum(loss.generator_terms(Comparison(Scores(), real, fake)).values())
    return float(discriminator), float(generator)


@pytest.mark.parametrize(
    ("loss", "discriminator", "generator"),
    [
        (Minimax(), 1.74494800277, -1.16806368137),
        (NonSaturating(), 1.74494800277, 0.56806368137),
        (LeastSquares(0.0, 1.0, 1.0), 1.205, 0.69),
        (LeastSquares(-1.0, 1.0, 0.0), 2.305, 0.79),
        (Wasserstein(), 0.233333333333, -0.6),
        (Hinge(), 2.3, -0.6),
    ],
)
def test_value_at_fixed_outputs(loss, discriminator, generator):
    assert losses(loss) == pytest.approx((discriminator, generator), abs=1e-10)


@pytest.mark.parametrize(
    ("loss", "score", "discriminator", "generator"),
    [
        (Minimax(), 0.0, 2 * math.log(2), -math.log(2)),
        (NonSaturating(), 0.0, 2 * math.log(2), math.log(2)),
        (LeastSquares(0.0, 1.0, 1.0), 0.5, 0.25, 0.125),
        (LeastSquares(-1.0, 1.0, 0.0), 0.0, 1.0, 0.0),
        (Hinge(), 0.3, 2.0, -0.3),
        (Wasserstein(), 0.7, 0.0, -0.7),
    ],
)
def test_value_at_equilibrium(loss, score, discriminator, generator):
    scores = torch.full((4,), score, dtype=torch.float64)
    assert losses(loss, scores, scores) == pytest.approx((discriminator, generator), abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "score", "gradient"),
    [
        (Minimax(), -5.0, -0.0066928509),
        (Minimax(), 5.0, -0.9933071491),
        (NonSaturating(), -5.0, -0.9933071491),
        (NonSaturating(), 5.0, -0.0066928509),
        (LeastSquares(0.0, 1.0, 1.0), 3.0, 2.0),
        (Hinge(), 3.0, -1.0),
        (Wasserstein(), -3.0, -1.0),
    ],
)
def test_generator_gradient_at_one_fake_score(loss, score, gradient):
    fake = torch.tensor([score], dtype=torch.float64, requires_grad=True)
    sum(loss.generator_terms(Comparison(Scores(), REAL, fake)).values()).backward()
    assert fake.grad.item() == pytest.approx(gradient, abs=1e-9)


@pytest.mark.parametrize("score", [-1000.0, 1000.0])
def test_logistic_losses_stay_finite_far_out(score):
    scores = torch.tensor([score])
    assert all(math.isfinite(value) for value in losses(NonSaturating(), scores, scores))


def test_score_maps_are_averaged_before_scales():
    """Two scales count alike, whatever their number of patches."""

    class TwoScales(nn.Module):
        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(torch.full((1, 1, 4, 4), 1.0), torch.full((1, 1, 2, 2), 3.0)))

    comparison = Comparison(TwoScales(), torch.zeros(1, 1), torch.zeros(2, 1))
    assert Wasserstein().generator_terms(comparison)["adversarial"].item() == pytest.approx(-2.0)


class Linear(nn.Module):
    """Counts its calls; scores are linear in the samples."""

    def __init__(self, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = layer or nn.Identity()
        self.calls = 0

    def forward(self, samples, condition=None):
        self.calls += 1
        return DiscriminatorOutput(scores=(self.layer(samples).sum(1),), features=(samples,))


def test_real_and_fake_share_one_pass_when_samples_are_independent():
    discriminator = Linear()
    comparison = Comparison(discriminator, torch.ones(3, 2), torch.zeros(3, 2), torch.arange(3))
    assert comparison.real_output.score.tolist() == [2.0, 2.0, 2.0]
    assert comparison.fake_output.score.tolist() == [0.0, 0.0, 0.0]
    assert comparison.fake_output.features[0].shape == (3, 2)
    assert discriminator.calls == 1


def test_batch_norm_keeps_real_and_fake_apart():
    discriminator = Linear(nn.BatchNorm1d(2))
    comparison = Comparison(discriminator, torch.randn(3, 2), torch.randn(3, 2))
    _ = comparison.real_output, comparison.fake_output
    assert discriminator.calls == 2
    assert couples_samples(discriminator)


def test_generator_move_does_not_judge_the_reals():
    discriminator = Linear()
    Wasserstein().generator_terms(Comparison(discriminator, torch.ones(3, 2), torch.zeros(3, 2)))
    assert discriminator.calls == 1


def test_objective_adds_its_terms():
    class Constant(nn.Module):
        def forward(self, comparison):
            return torch.tensor(7.0)

    objective = Objective(Wasserstein(), None, {"extra": Constant()}, {}, 2, None, {})
    comparison = Comparison(Linear(), torch.ones(3, 2), torch.zeros(3, 2))
    assert {name: value.item() for name, value in objective.discriminator_terms(comparison).items()} == {
        "real": -2.0,
        "fake": 0.0,
        "extra": 7.0,
    }
    assert list(objective.generator_terms(comparison)) == ["adversarial"]


def test_objective_refuses_no_critic_steps():
    with pytest.raises(ValueError, match="critic_steps must be at least 1"):
        Objective(Wasserstein(), None, {}, {}, 0, None, {})
