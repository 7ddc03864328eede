"""The gradient penalties on critics whose gradients are known: values, parameter gradients, optima, pitfalls."""

from __future__ import annotations

import pytest
import torch
from critics import FAKE, POSITION, REAL, Bowl, LinearCritic, points
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective
from ganrun.losses.terms import input_gradient
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.input_gradient import interpolate
from ganrun.losses.terms.r1 import R1
from ganrun.losses.terms.wasserstein_divergence import WassersteinDivergence
from ganrun.losses.wasserstein import Wasserstein

GP = GradientPenalty(1.0, 1.0, "two", "lines", "sample")
HINGE = GradientPenalty(1.0, 1.0, "one", "lines", "sample")
LP = GradientPenalty(1.0, 1.0, "one_squared", "lines", "sample")
ZERO = GradientPenalty(1.0, 0.0, "two", "lines", "sample")


@pytest.mark.parametrize(
    ("penalty", "steep", "gradient", "flat"),
    [
        (GP, 16.0, [4.8, 6.4], 0.25),
        (GradientPenalty(10.0, 1.0, "two", "lines", "sample"), 160.0, [48.0, 64.0], 2.5),
        (HINGE, 4.0, [0.6, 0.8], 0.0),
        (LP, 16.0, [4.8, 6.4], 0.0),
        (ZERO, 25.0, [6.0, 8.0], 0.25),
        (GradientPenalty(1.0, 0.0, "one_squared", "real", "sample"), 25.0, [6.0, 8.0], 0.25),
    ],
)
def test_linear_critic(penalty, steep, gradient, flat):
    """``‖w‖`` is 5 at w = (3, 4) and 1/2 at (0.3, 0.4), wherever one looks."""
    critic = LinearCritic([3.0, 4.0])
    value = penalty(Comparison(critic, points(), points()))
    value.backward()
    assert value.item() == pytest.approx(steep)
    assert critic.w.grad.tolist() == pytest.approx(gradient)
    assert penalty(Comparison(LinearCritic([0.3, 0.4]), points(), points())).item() == pytest.approx(flat)


@pytest.mark.parametrize("side", ["one", "one_squared"])
def test_one_sided_penalties_leave_gentle_critics_alone(side):
    critic = LinearCritic([0.3, 0.4])
    GradientPenalty(1.0, 1.0, side, "lines", "sample")(Comparison(critic, points(), points())).backward()
    assert critic.w.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("penalty", "value"),
    [
        (GP, 5.633407446),  # not (mean norm - 1)² = 1.6308, not (global norm - 1)² = 18.0625
        (HINGE, 1.527046277),
        (LP, 5.445907447),
        (ZERO, 9.1875),
        (GradientPenalty(1.0, 0.0, "two", "real", "sample"), 10.0),
        (GradientPenalty(1.0, 0.0, "two", "fake", "sample"), 10.0 / 3),
    ],
)
def test_norm_is_taken_per_sample_before_the_mean(monkeypatch, penalty, value):
    """The gradient of ``‖x‖²/2`` is x: norms 1/4, sqrt(5/2) and 5 at the given points of the lines."""
    monkeypatch.setattr(input_gradient, "one_per_sample", lambda samples: POSITION)
    assert penalty(Comparison(Bowl(), REAL, FAKE)).item() == pytest.approx(value, abs=1e-8)


def test_one_position_per_sample_between_real_and_fake():
    torch.manual_seed(0)
    mixed = interpolate(torch.ones(64, 3, 4, 4), torch.zeros(64, 3, 4, 4))
    per_sample = mixed.flatten(1)
    assert torch.equal(per_sample.min(1).values, per_sample.max(1).values)
    assert 0.0 <= mixed.min() < 0.1
    assert 0.9 < mixed.max() <= 1.0


@pytest.mark.parametrize("penalty", [GP, HINGE, LP, ZERO], ids=["two", "one", "one_squared", "zero"])
def test_zero_gradient_has_no_slope(penalty):
    critic = LinearCritic([0.0, 0.0])
    penalty(Comparison(critic, points(), points())).backward()
    assert critic.w.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("penalty", "gap", "slope", "value"),
    [
        (GradientPenalty(10.0, 1.0, "two", "lines", "sample"), 1.0, 1.05, 1.025),
        (GradientPenalty(10.0, 1.0, "two", "lines", "sample"), 3.0, 1.15, 3.225),
        (GradientPenalty(10.0, 1.0, "one_squared", "lines", "sample"), 3.0, 1.15, 3.225),
        (WassersteinDivergence(2.0, 6.0, "lines"), 1.0, 0.608364341893, 0.506970284911),
        (WassersteinDivergence(2.0, 6.0, "lines"), 3.0, 0.757858283255, 1.89464570814),
        (R1(10.0), 1.0, 0.1, 0.05),
    ],
)
def test_best_linear_critic(penalty, gap, slope, value):
    """``D(x) = a x`` under the Wasserstein loss: 1 + gap/2λ, (gap/kp)^(1/(p-1)) and gap/γ."""
    objective = Objective(Wasserstein(), None, {"penalty": penalty}, {}, 1, None, {})
    critic = LinearCritic([0.9])
    fake = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    exact = {"tolerance_grad": 1e-12, "tolerance_change": 1e-15}
    optimizer = torch.optim.LBFGS(critic.parameters(), max_iter=100, line_search_fn="strong_wolfe", **exact)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = torch.stack(list(objective.discriminator_terms(Comparison(critic, fake + gap, fake)).values())).sum()
        total.backward()
        return total

    optimizer.step(loss)
    assert critic.w.item() == pytest.approx(slope, abs=1e-6)
    assert -loss().item() == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize(("layer", "moves"), [(nn.BatchNorm1d(8), True), (nn.LayerNorm(8), False)])
def test_batch_norm_mixes_the_gradients_of_samples(layer, moves):
    """Why batch norm is refused: the gradient at one sample depends on where another one is."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 8), layer, nn.Tanh(), nn.Linear(8, 1)).double()
    samples = points(4)
    elsewhere = samples.clone()
    elsewhere[1] += 1

    def gradient(at: torch.Tensor) -> torch.Tensor:
        def judge(samples: torch.Tensor, condition: object) -> DiscriminatorOutput:
            return DiscriminatorOutput(scores=(network(samples).flatten(),))

        return input_gradient.input_gradient(Comparison(network, at, at, judge=judge), at)[0]

    change = (gradient(samples) - gradient(elsewhere)).norm().item()
    assert change > 1e-3 if moves else change == 0.0


def test_channel_norm_is_taken_at_every_pixel():
    class PerPixel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(self.scale * (3 * samples[:, :1] + 4 * samples[:, 1:2]),))

    images = torch.randn(1, 2, 5, 5)
    penalty = GradientPenalty(1.0, 1.0, "two", "lines", "channels")(Comparison(PerPixel(), images, images))
    assert penalty.item() == pytest.approx(16.0, rel=1e-5)  # ‖(3, 4)‖ = 5 at every pixel


def test_refuses_a_discriminator_whose_gradient_has_no_graph():
    """A compiled network may return such a gradient; the penalty would silently do nothing."""

    class Severed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, samples):
            return samples.sum(1)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, gradient):
            return gradient[:, None].expand(-1, 2)

    class Opaque(nn.Module):
        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(Severed.apply(samples.float()),))

    with pytest.raises(RuntimeError, match="carries no graph"):
        GP(Comparison(Opaque(), points().float(), points().float()))
