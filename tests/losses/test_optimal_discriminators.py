"""Discriminators at their optimum: what they are, what the losses then are, and the divergences they certify."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.relativistic import RelativisticAverage, RelativisticPairs
from ganrun.losses.wasserstein import Wasserstein

LOG_RATIO = (0.916290731874, 0.405465108108, -1.09861228867)
JSD = 0.0905658499553


@pytest.mark.parametrize(
    ("loss", "scores", "discriminator", "generator"),
    [
        (Minimax(1.0, 0.0, 0.0), LOG_RATIO, 1.20516266121, None),
        (NonSaturating(1.0, 0.0, 0.0), LOG_RATIO, 1.20516266121, None),
        (LeastSquares(0.0, 1.0, 1.0), (0.714285714286, 0.6, 0.25), 0.206428571429, 0.192913265306),
        (LeastSquares(-1.0, 1.0, 0.0), (0.428571428571, 0.2, -0.5), 0.825714285714, 0.0973673469388),
    ],
)
def test_the_best_scores_of_the_pair(best, loss, scores, discriminator, generator):
    found = best(loss)
    assert found[0].tolist() == pytest.approx(scores, abs=1e-6)
    assert found[1] == pytest.approx(discriminator, abs=1e-10)
    assert generator is None or found[2] == pytest.approx(generator, abs=1e-7)


@pytest.mark.parametrize(
    ("targets", "sigma"),
    [((0.9, 0.0), (0.642857142857, 0.54, 0.225)), ((0.9, 0.1), (0.671428571429, 0.58, 0.3))],
)
def test_the_best_scores_for_smoothed_labels(best, targets, sigma):
    assert best(NonSaturating(*targets, 0.0))[0].sigmoid().tolist() == pytest.approx(sigma, abs=1e-6)


def test_the_best_scores_of_hinge(pair, sides):
    """They are the sign of p - q, before all others on a grid."""

    def losses(scores):
        return [value.item() for value in sides(Hinge(), scores[pair[0]], scores[pair[1]])]

    grid = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)
    best = min(torch.cartesian_prod(grid, grid, grid), key=lambda scores: losses(scores)[0])
    assert best.tolist() == [1, 1, -1]
    assert losses(best) == pytest.approx([1.2, 0.2])
    assert Hinge().certificate(torch.tensor(losses(best)[0]))["total_variation"].item() == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("loss", "centred", "discriminator", "generator"),
    [
        (RelativisticPairs("paired"), (0.841909548103, 0.331083924337, -1.17299347244), 0.527393566961, 1.28227221487),
        (RelativisticPairs("all"), (0.841909548103, 0.331083924337, -1.17299347244), 0.527393566961, 1.28227221487),
        (RelativisticAverage("logistic"), (1.42425570873, 0.49600813296, -1.92026384169), 0.860718432421, None),
    ],
)
def test_the_best_scores_of_relativistic_losses(best, loss, centred, discriminator, generator):
    """That of pairs is the log ratio, that of averages is not; both up to a constant."""
    scores, *losses = best(loss)
    assert (scores - scores.mean()).tolist() == pytest.approx(centred, abs=1e-6)
    assert losses[0] == pytest.approx(discriminator, abs=1e-10)
    assert generator is None or losses[1] == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "name", "divergence"),
    [
        (Minimax(1.0, 0.0, 0.0), "jensen_shannon", JSD),
        (NonSaturating(1.0, 0.0, 0.0), "jensen_shannon", JSD),
        (RelativisticPairs("paired"), "relativistic_jensen_shannon", math.log(2) - 0.527393566961),
        (LeastSquares(0.0, 1.0, 1.0), "triangular", 0.348571428571),
        (LeastSquares(-1.0, 1.0, 0.0), "triangular", 0.348571428571),
        (LeastSquares(3.0, -2.0, 0.0), "triangular", 0.348571428571),
    ],
)
def test_certificates_equal_the_divergence_at_the_optimum_and_are_below_elsewhere(
    best, pair, sides, loss, name, divergence
):
    (found,) = loss.certificate(torch.tensor(best(loss)[1], dtype=torch.float64)).items()
    assert (found[0], found[1].item()) == (name, pytest.approx(divergence, abs=1e-9))
    torch.manual_seed(0)
    for _ in range(100):
        scores = torch.randn(3, dtype=torch.float64)
        value = sides(loss, scores[pair[0]], scores[pair[1]])[0]
        assert loss.certificate(value)[name].item() < divergence + 1e-12


def test_moved_labels_certify_nothing():
    for targets in ((0.9, 0.0, 0.0), (1.0, 0.1, 0.0), (1.0, 0.0, 0.05)):
        assert NonSaturating(*targets).certificate(torch.tensor(1.0)) == {}


def test_wasserstein_certificate_is_the_critics_gap(sides):
    gap = sides(Wasserstein(), torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0]))[0]
    assert Wasserstein().certificate(gap)["wasserstein"].item() == 3


class LogRatio(nn.Module):
    """The optimal logit for reals from N(0, 1) and fakes from N(1, 1)."""

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(0.5 - samples,))


def quadrature(mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Points whose plain average is an expectation under N(mean, 1): midpoints of equally likely intervals."""
    probability = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    return mean + math.sqrt(2) * torch.erfinv(2 * probability - 1)


@pytest.mark.parametrize(
    ("loss", "slope"),
    [(NonSaturating(1.0, 0.0, 0.0), 0.602027132817), (Minimax(1.0, 0.0, 0.0), 0.397972867183)],
)
def test_generator_gradient_at_the_optimal_discriminator(loss, slope):
    """Of KL(q, p) - 2 JSD, 1 - 2 * 0.198986433; and of 2 JSD for the saturating loss."""
    mean = torch.ones((), dtype=torch.float64, requires_grad=True)
    fake = quadrature(mean)
    sum(loss.generator_terms(Comparison(LogRatio(), fake.detach() - 1, fake)).values()).backward()
    assert mean.grad.item() == pytest.approx(slope, abs=1e-6)


def test_the_optimal_discriminator_of_two_gaussians_certifies_their_divergence():
    real, fake = quadrature(torch.zeros((), dtype=torch.float64)), quadrature(torch.ones((), dtype=torch.float64))
    comparison = Comparison(LogRatio(), real, fake)
    loss = NonSaturating(1.0, 0.0, 0.0)
    value = sum(loss.discriminator_terms(comparison).values())
    assert loss.certificate(value)["jensen_shannon"].item() == pytest.approx(0.111421482185, abs=1e-6)
    outputs = comparison.real_output.score, comparison.fake_output.score
    assert [score.sigmoid().mean().item() for score in outputs] == pytest.approx([0.602027133, 0.397972867], abs=1e-6)
    assert (outputs[0] > 0).double().mean().item() == pytest.approx(0.691462461274, abs=1e-5)
    assert outputs[0].sign().mean().item() == pytest.approx(0.382924922548, abs=1e-5)
    assert loss.equilibrium()["discriminator"] > value.item()
