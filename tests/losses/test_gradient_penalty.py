"""The gradient penalty on critics whose gradients are known, and its parameter gradient by finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.input_gradient import interpolate


class LinearCritic(nn.Module):
    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(samples @ self.w,))


class Bowl(nn.Module):
    """``D(x) = ‖x‖²/2``, whose gradient is x."""

    def forward(self, samples, condition=None):
        scale = self.scale if hasattr(self, "scale") else 1.0
        return DiscriminatorOutput(scores=(scale * samples.square().sum(1) / 2,))


def points(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 2, dtype=torch.float64)


def test_linear_critic():
    critic = LinearCritic([3.0, 4.0])
    penalty = GradientPenalty(10.0, 1.0, "two", "lines", "sample")(Comparison(critic, points(), points()))
    penalty.backward()
    assert penalty.item() == pytest.approx(160.0)  # 10 · (5 - 1)²
    assert critic.w.grad.tolist() == pytest.approx([48.0, 64.0])  # 10 · 2(‖w‖ - 1) w/‖w‖


def test_norm_is_taken_per_sample_before_the_mean(monkeypatch):
    real = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    fake = torch.tensor([[0.0, 0.0], [-1.0, 1.0], [2.0, -2.0]], dtype=torch.float64)
    position = torch.tensor([[0.25], [0.5], [1.0]], dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *size, **options: position.reshape(size))
    critic = Bowl()
    critic.scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    penalty = GradientPenalty(1.0, 1.0, "two", "lines", "sample")(Comparison(critic, real, fake))
    assert penalty.item() == pytest.approx(5.633407447, abs=1e-8)


def test_one_position_per_sample_between_real_and_fake():
    torch.manual_seed(0)
    mixed = interpolate(torch.ones(64, 3, 4, 4), torch.zeros(64, 3, 4, 4))
    per_sample = mixed.flatten(1)
    assert torch.equal(per_sample.min(1).values, per_sample.max(1).values)
    assert 0.0 <= mixed.min() < 0.1
    assert 0.9 < mixed.max() <= 1.0


def test_zero_gradient_gives_finite_parameter_gradients():
    critic = LinearCritic([0.0, 0.0])
    GradientPenalty(10.0, 1.0, "two", "lines", "sample")(Comparison(critic, points(), points())).backward()
    assert torch.isfinite(critic.w.grad).all()


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


def test_parameter_gradient_matches_finite_differences():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()

    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(self.network(samples).flatten(),))

    comparison = Comparison(Critic(), points(5), points(5))

    def penalty() -> torch.Tensor:
        torch.manual_seed(2)
        return GradientPenalty(10.0, 1.0, "two", "lines", "sample")(comparison)

    weight = network[0].weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    weight.data[3, 1] += 1e-6
    above = penalty()
    weight.data[3, 1] -= 2e-6
    below = penalty()
    assert gradient[3, 1].item() == pytest.approx((above - below).item() / 2e-6, rel=1e-5)


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
        GradientPenalty(10.0, 1.0, "two", "lines", "sample")(Comparison(Opaque(), points().float(), points().float()))
