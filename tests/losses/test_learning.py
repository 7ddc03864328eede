"""Every loss teaches a generator a normal distribution; measured behaviour, so the bands are wide."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ganrun.core.types import START, DiscriminatorOutput
from ganrun.losses.c_transform import CTransform
from ganrun.losses.fgan import FGAN
from ganrun.losses.gan_qp import QuadraticPotential
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.normalisers.gradient_normalisation import GradientNormalisation
from ganrun.losses.normalisers.gran import PiecewiseGradientNormalisation
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticAverage, RelativisticPairs
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.r1 import R1, R2
from ganrun.losses.terms.wasserstein_divergence import WassersteinDivergence
from ganrun.losses.wasserstein import Wasserstein

MEAN, DEVIATION = 1.0, 0.5
BATCH = 256


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(self.network(samples)[:, 0],))


def learn(objective: Objective, steps: int, generator_lr: float, discriminator_lr: float) -> tuple[float, float]:
    """Mean and standard deviation of what the generator's moving average makes."""
    torch.manual_seed(0)
    generator, discriminator = network(), Discriminator()
    average = copy.deepcopy(generator)
    adam = [
        torch.optim.Adam(module.parameters(), lr=lr, betas=(0.0, 0.9), fused=True)
        for module, lr in ((generator, generator_lr), (discriminator, discriminator_lr))
    ]

    def move(terms, optimizer, module):
        parameters = list(module.parameters())
        gradients = torch.autograd.grad(sum(terms.values()), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(parameters, 10.0)
        optimizer.step()

    for _ in range(steps):
        for _ in range(objective.critic_steps):
            real = MEAN + DEVIATION * torch.randn(BATCH, 1)
            with torch.no_grad():
                fake = generator(torch.randn(BATCH, 1))
            comparison = objective.compare(discriminator, real, fake, None, START)
            move(objective.discriminator_terms(comparison), adam[1], discriminator)
        fake = generator(torch.randn(BATCH, 1))
        comparison = objective.compare(discriminator, real, fake, None, START)
        move(objective.generator_terms(comparison), adam[0], generator)
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 0.02)
    with torch.no_grad():
        samples = average(torch.randn(10_000, 1))
    return samples.mean().item(), samples.std().item()


def objective(loss, critic_steps=2, normaliser=None, **terms) -> Objective:
    return Objective(loss, normaliser, terms, {}, critic_steps, None, {})


def fgan(name: str) -> Objective:
    return objective(FGAN(name, 0.5, 0.5, "alternative", "conjugate", 10.0))


def penalty(weight: float, target: float, side: str, points: str) -> GradientPenalty:
    return GradientPenalty(weight, target, side, points, "sample")


OBJECTIVES = {
    "minimax": objective(Minimax(1.0, 0.0, 0.0)),
    "nonsaturating": objective(NonSaturating(1.0, 0.0, 0.0)),
    "one_sided_smoothing": objective(NonSaturating(0.9, 0.0, 0.0)),
    "flipping": objective(NonSaturating(1.0, 0.0, 0.05)),
    "lsgan": objective(LeastSquares(0.0, 1.0, 1.0)),
    "hinge": objective(Hinge()),
    "rsgan": objective(RelativisticPairs("paired")),
    "rsgan_all": objective(RelativisticPairs("all")),
    "ragan": objective(RelativisticAverage("logistic")),
    "ralsgan": objective(RelativisticAverage("least_squares")),
    "rahinge": objective(RelativisticAverage("hinge")),
    "gan_qp": objective(QuadraticPotential(10.0, "l1")),
    **{
        f"fgan_{name}": fgan(name)
        for name in (
            "kl",
            "reverse_kl",
            "pearson",
            "neyman",
            "squared_hellinger",
            "jeffrey",
            "jensen_shannon",
            "jensen_shannon_weighted",
            "gan",
            "alpha",
        )
    },
    "logistic_r1": objective(NonSaturating(1.0, 0.0, 0.0), r1=R1(0.1)),
    "r3gan": objective(RelativisticPairs("paired"), r1=R1(0.1), r2=R2(0.1)),
    "wgan_gp": objective(Wasserstein(), 5, gp=penalty(0.1, 1.0, "two", "lines")),
    "wgan_lp": objective(Wasserstein(), 5, gp=penalty(1.0, 1.0, "one_squared", "lines")),
    "wgan_div": objective(Wasserstein(), 5, div=WassersteinDivergence(2.0, 6.0, "lines")),
    "energy": objective(Wasserstein(), 5, gp=penalty(0.5, 0.0, "two", "real")),
    "c_transform": objective(CTransform("euclidean", 0.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_normal_distribution_is_learnt(name):
    steps = 400 if OBJECTIVES[name].critic_steps == 2 else 213
    mean, deviation = learn(OBJECTIVES[name], steps, 1.5e-3, 6e-3)
    assert mean == pytest.approx(MEAN, abs=0.15)
    assert deviation == pytest.approx(DEVIATION, abs=0.15)


@pytest.mark.slow
def test_gradient_normalisation_needs_a_slow_generator():
    """Fakes on which D is large hardly move a normalised score, so a fast generator runs away."""
    gngan = objective(Hinge(), 5, GradientNormalisation())
    mean, deviation = learn(gngan, 400, 4e-4, 4e-3)
    assert mean == pytest.approx(MEAN, abs=0.15)
    assert deviation == pytest.approx(DEVIATION, abs=0.15)


@pytest.mark.slow
def test_known_failures():
    """The χ² coding of least squares makes narrow samples, total variation misses, and GraN diverges without bounds."""
    mean, deviation = learn(objective(LeastSquares(-1.0, 1.0, 0.0)), 400, 1.5e-3, 6e-3)
    assert mean == pytest.approx(MEAN, abs=0.15)
    assert 0.2 < deviation < 0.43
    mean, _ = learn(fgan("total_variation"), 400, 1.5e-3, 6e-3)
    assert 0.15 < abs(mean - MEAN) < 0.6
    gran = objective(Wasserstein(), 2, PiecewiseGradientNormalisation(0.1, 1.0))
    mean, _ = learn(gran, 200, 1.5e-3, 6e-3)
    assert abs(mean - MEAN) > 2
