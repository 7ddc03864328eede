"""Normalised scores against closed forms, and how they pass through both players' moves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from ganrun.core.types import START, DiscriminatorOutput
from ganrun.losses.hinge import Hinge
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.normalisers.base import Normaliser
from ganrun.losses.normalisers.gradient_normalisation import GradientNormalisation
from ganrun.losses.normalisers.gran import PiecewiseGradientNormalisation
from ganrun.losses.objective import Objective
from ganrun.losses.wasserstein import Wasserstein

GN = GradientNormalisation()
GRAN = PiecewiseGradientNormalisation(0.1, 1.0)


class Plain(nn.Module):
    """A discriminator from a network with one output."""

    def __init__(self, network) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples, condition=None):
        score = self.network(samples).flatten()
        return DiscriminatorOutput(scores=(score,), features=(self.network[0](samples),))


def linear(factor: float = 1.0) -> Plain:
    """3 x1 + 4 x2 + 2, times ``factor``."""
    layer = nn.Linear(2, 1).double()
    with torch.no_grad():
        layer.weight.copy_(factor * torch.tensor([[3.0, 4.0]]))
        layer.bias.fill_(2 * factor)
    return Plain(nn.Sequential(layer))


def mlp(activation: nn.Module, scale: float = 1.0) -> Plain:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 32), activation, nn.Linear(32, 32), activation, nn.Linear(32, 1)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale)
    return Plain(network)


def normalised_and_slope(normaliser: Normaliser, discriminator: nn.Module, points: torch.Tensor):
    points = points.clone().requires_grad_()
    score = normaliser(discriminator, points).score
    (gradient,) = torch.autograd.grad(score.sum(), points)
    return score.detach(), gradient.norm(dim=1)


@pytest.mark.parametrize(
    ("normaliser", "factor", "score", "slope"),
    [
        (GN, 1.0, 0.642857142857, 0.127551020408),
        (GN, 10.0, 0.642857142857, 0.127551020408),
        (GRAN, 1.0, 1.79282868526, 0.996015936255),
        (GRAN, 10.0, 1.79992800288, 2500 / 2500.1),
        (PiecewiseGradientNormalisation(0.1, 3.0), 1.0, 3 * 1.79282868526, 3 * 0.996015936255),
    ],
)
def test_a_linear_discriminator(normaliser, factor, score, slope):
    found = normalised_and_slope(normaliser, linear(factor), torch.ones(1, 2, dtype=torch.float64))
    assert [value.item() for value in found] == pytest.approx([score, slope], abs=1e-10)


@pytest.mark.parametrize(("normaliser", "left", "right"), [(GN, 2 / 3, 1 / 3), (GRAN, 1.42857142857, 0.487804878049)])
def test_scores_jump_where_the_piece_changes(normaliser, left, right):
    """D(x) = 1 + 2 relu(x) - relu(-x)/2, on both sides of 0."""
    steep = torch.ones((), dtype=torch.float64, requires_grad=True)  # so that the slope depends on a weight

    def discriminator(samples):
        score = 1 + steep * (2 * relu(samples) - relu(-samples) / 2)
        return DiscriminatorOutput(scores=(score[:, 0],))

    near = torch.tensor([[-1e-12], [1e-12]], dtype=torch.float64)
    assert normaliser(discriminator, near).score.tolist() == pytest.approx([left, right], abs=1e-9)


def slope_in_a_piece(normaliser: Normaliser, score: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    if normaliser is GN:
        return (slope / (slope + score.abs())) ** 2
    return slope**2 / (slope**2 + 0.1)


@pytest.mark.parametrize("normaliser", [GN, GRAN])
def test_slopes_of_a_piecewise_linear_network(normaliser):
    """Equal to the closed form and at most 1; biases of such a network are not small beside its slope."""
    discriminator = mlp(nn.LeakyReLU(0.2), 1.5)
    points = torch.randn(256, 4, dtype=torch.float64).requires_grad_()
    score = discriminator(points).score
    (gradient,) = torch.autograd.grad(score.sum(), points)
    _, slope = normalised_and_slope(normaliser, discriminator, points.detach())
    assert torch.allclose(slope, slope_in_a_piece(normaliser, score, gradient.norm(dim=1)), atol=1e-13)
    assert slope.max() <= 1


@pytest.mark.parametrize("normaliser", [GN, GRAN])
def test_smooth_activations_break_the_bound(normaliser):
    _, slope = normalised_and_slope(normaliser, mlp(nn.Tanh(), 3.0), torch.randn(256, 4, dtype=torch.float64))
    assert slope.max() > 1


def test_a_flat_discriminator_at_zero_gives_zero():
    discriminator = linear(0.0)
    score = GN(discriminator, torch.ones(3, 2, dtype=torch.float64)).score
    score.sum().backward()
    assert score.tolist() == [0, 0, 0]
    assert all(parameter.grad.isfinite().all() for parameter in discriminator.parameters())


def moves(objective: Objective, discriminator: nn.Module):
    """Terms of both moves, as a game makes them, and the fakes' weight."""
    torch.manual_seed(1)
    real, z = torch.randn(8, 4, dtype=torch.float64), torch.randn(8, 4, dtype=torch.float64)
    weight = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    own = objective.discriminator_terms(objective.compare(discriminator, real, (weight * z).detach(), None, START))
    other = objective.generator_terms(objective.compare(discriminator, real, weight * z, None, START))
    return sum(own.values()), sum(other.values()), weight


def objective(loss, normaliser) -> Objective:
    return Objective(loss, normaliser, {}, {}, 1, None, {})


def test_hinge_under_gradient_normalisation_is_wasserstein_and_two():
    discriminator = mlp(nn.LeakyReLU(0.2))
    gradients = []
    for loss, constant in ((Hinge(), 2.0), (Wasserstein(), 0.0)):
        own, other, weight = moves(objective(loss, GN), discriminator)
        parameters = [parameter for name, parameter in discriminator.named_parameters() if "4.bias" not in name]
        gradients.append((own.item() - constant, other.item(), torch.autograd.grad(own, parameters), weight))
    assert gradients[0][:2] == pytest.approx(gradients[1][:2], abs=1e-12)
    assert all(torch.allclose(*both) for both in zip(gradients[0][2], gradients[1][2], strict=True))


def test_cross_entropy_under_gradient_normalisation_has_a_floor():
    own, other, _ = moves(objective(NonSaturating(1.0, 0.0, 0.0), GN), mlp(nn.LeakyReLU(0.2), 4.0))
    assert own.item() > 2 * math.log(1 + math.exp(-1))
    assert other.item() > math.log(1 + math.exp(-1))


@pytest.mark.parametrize("normaliser", [GN, GRAN])
def test_both_moves_are_differentiated_through_the_norm(normaliser):
    """Against central differences in a weight of D, and in the generator's own."""
    discriminator = mlp(nn.LeakyReLU(0.2))
    bias, step = discriminator.network[2].bias, 1e-6
    own, other, weight = moves(objective(Wasserstein(), normaliser), discriminator)
    slopes = torch.autograd.grad(own, bias)[0][0].item(), torch.autograd.grad(other, weight)[0].item()

    def shifted(size: float) -> tuple[float, float]:
        with torch.no_grad():
            bias[0] += size
        value = moves(objective(Wasserstein(), normaliser), discriminator)[0].item()
        with torch.no_grad():
            bias[0] -= size
        torch.manual_seed(1)
        _, z = torch.randn(8, 4, dtype=torch.float64), torch.randn(8, 4, dtype=torch.float64)
        fake = normaliser(discriminator, (1.3 + size) * z).score
        return value, -fake.mean().item()

    up, down = shifted(step), shifted(-step)
    for index, slope in enumerate(slopes):
        assert slope == pytest.approx((up[index] - down[index]) / (2 * step), rel=1e-4, abs=1e-9)


def test_reals_in_the_generators_move_carry_no_graph():
    discriminator = mlp(nn.LeakyReLU(0.2))
    fake = torch.randn(8, 4, dtype=torch.float64).requires_grad_()
    given = objective(Wasserstein(), GN)
    comparison = given.compare(discriminator, torch.randn(8, 4).double(), fake, None, START)
    given.generator_terms(comparison)
    output = comparison.real_output
    assert not output.score.requires_grad
    assert not output.features[0].requires_grad
    assert comparison.fake_output.score.requires_grad


def test_scores_do_not_depend_on_whether_a_graph_is_kept():
    discriminator, points = mlp(nn.LeakyReLU(0.2)), torch.randn(8, 4, dtype=torch.float64)
    with_graph = GRAN(discriminator, points).score
    with torch.no_grad():
        assert torch.equal(GRAN(discriminator, points).score, with_graph)


def test_batch_norm_would_mix_the_gradients_and_is_forbidden():
    """One sample's slope changes with another sample under batch norm, and not under layer norm."""
    assert {"batch_norm", "coupled_samples", "patch_scores"} <= set(GN.forbids) & set(GRAN.forbids)
    points = torch.randn(8, 4, dtype=torch.float64)
    moved = torch.cat([points[:1], points[1:] + 0.5])
    for layer, same in ((nn.BatchNorm1d(16), False), (nn.LayerNorm(16), True)):
        torch.manual_seed(0)
        discriminator = Plain(nn.Sequential(nn.Linear(4, 16), layer, nn.LeakyReLU(0.2), nn.Linear(16, 1)).double())
        first, second = (GN(discriminator, samples).score[0].item() for samples in (points, moved))
        assert (abs(first - second) < 1e-12) is same


def test_a_slope_without_a_graph_is_refused():
    class Detached(torch.autograd.Function):
        @staticmethod
        def forward(ctx, samples):
            return samples.sum(1)

        @staticmethod
        def backward(ctx, gradient):
            return gradient.detach()[:, None].expand(-1, 2).detach()

    with pytest.raises(RuntimeError, match="carries no graph"):
        GN(lambda samples: DiscriminatorOutput(scores=(Detached.apply(samples),)), torch.ones(3, 2))
