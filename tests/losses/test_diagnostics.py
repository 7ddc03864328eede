"""Diagnostics of a move against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganrun.core.types import START, DiscriminatorOutput
from ganrun.losses import diagnostics
from ganrun.losses.base import AdversarialLoss
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.wasserstein import Wasserstein


class Critic(nn.Module):
    """A discriminator given as a function of the samples; several functions are several scales."""

    def __init__(self, *functions) -> None:
        super().__init__()
        self.functions = functions
        self.passes = 0

    def forward(self, samples, condition=None):
        self.passes += 1
        return DiscriminatorOutput(scores=tuple(function(samples) for function in self.functions))


def first(samples):
    return samples.flatten(1)[:, 0]


def objective_of(loss: AdversarialLoss, top_k=None, **terms) -> Objective:
    return Objective(loss, None, terms.get("discriminator", {}), terms.get("generator", {}), 1, top_k, {})


def of_discriminator(loss, critic, real, fake, **terms):
    objective = objective_of(loss, **terms)
    comparison = objective.compare(critic, real, fake, None, START)
    return diagnostics.of_discriminator(objective, comparison, objective.discriminator_terms(comparison))


def of_generator(loss, critic, fake, **more):
    objective = objective_of(loss, **more)
    comparison = objective.compare(critic, torch.zeros_like(fake), fake.clone().requires_grad_(), None, START)
    terms = objective.generator_terms(comparison)
    values = diagnostics.of_generator(objective, comparison, terms)
    torch.stack(list(terms.values())).sum().backward()  # the graph is still there
    return {tag: value.item() for tag, value in values.items()}


@pytest.fixture
def gaussians():
    """Quantiles of N(0, 1) and N(1, 1): samples without sampling error."""
    grid = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    real = torch.special.ndtri(grid)[:, None]
    return real, real.flip(0) + 1


def test_optimal_discriminator_of_two_gaussians(gaussians):
    values = of_discriminator(NonSaturating(1.0, 0.0, 0.0), Critic(lambda x: 0.5 - x[:, 0]), *gaussians)
    assert values["score/accuracy"].item() == pytest.approx(0.691462, abs=1e-5)
    assert values["score/real"].item() == pytest.approx(0.5, abs=1e-6)
    assert values["score/fake"].item() == pytest.approx(-0.5, abs=1e-6)
    assert values["score/std_real"].item() == pytest.approx(1.0, abs=1e-4)
    assert values["slope/mean"].item() == pytest.approx(1.0)
    assert values["diversity/fake_to_real"].item() == pytest.approx(1.0)
    jsd = values["bound/jensen_shannon"].item()
    assert jsd == pytest.approx(0.111421, abs=1e-5)


def discrete(values, probabilities):
    """Ten samples of three kinds, as often as their probabilities say."""
    counts = [round(10 * probability) for probability in probabilities]
    return torch.tensor(values, dtype=torch.float64).repeat_interleave(torch.tensor(counts))[:, None]


@pytest.mark.parametrize(
    ("loss", "optimum", "bound"),
    [
        (NonSaturating(1.0, 0.0, 0.0), (0.9162907319, 0.4054651081, -1.0986122887), {"jensen_shannon": 0.090566}),
        (Minimax(1.0, 0.0, 0.0), (0.9162907319, 0.4054651081, -1.0986122887), {"jensen_shannon": 0.090566}),
        (Hinge(), (1.0, 1.0, -1.0), {"total_variation": 0.4}),
        (LeastSquares(a=0.0, b=1.0, c=1.0), (5 / 7, 0.6, 0.25), {"triangular": 0.348571}),
    ],
)
def test_bounds_are_sharp_at_the_optimal_discriminator(loss, optimum, bound):
    """p = (.5, .3, .2), q = (.2, .2, .6); the samples are the optimal scores themselves."""
    real, fake = discrete(optimum, (0.5, 0.3, 0.2)), discrete(optimum, (0.2, 0.2, 0.6))
    values = of_discriminator(loss, Critic(first), real, fake)
    assert {
        tag.removeprefix("bound/"): value.item() for tag, value in values.items() if tag.startswith("bound/")
    } == pytest.approx(bound, abs=1e-6)


def test_penalties_do_not_enter_the_bound_or_the_total():
    class One(nn.Module):
        def attach(self, network):
            pass

        def forward(self, comparison):
            return comparison.real.new_ones(())

    samples = torch.zeros(4, 1)
    values = of_discriminator(Hinge(), Critic(first), samples, samples, discriminator={"penalty": One()})
    assert values["adversarial/discriminator"].item() == values["equilibrium/discriminator"].item() == 2.0
    assert values["bound/total_variation"].item() == 0.0
    values = of_generator(NonSaturating(1.0, 0.0, 0.0), Critic(first), samples, generator={"extra": One()})
    assert values["adversarial/generator"] == pytest.approx(math.log(2))


def test_equilibrium_is_left_out_where_it_is_not_determined():
    samples = torch.zeros(4, 1)
    assert "equilibrium/generator" not in of_generator(Wasserstein(), Critic(first), samples)
    values = of_generator(NonSaturating(1.0, 0.0, 0.0), Critic(first), samples)
    assert values["equilibrium/generator"] == values["adversarial/generator"] == pytest.approx(math.log(2))


def test_accuracy_uses_the_losses_threshold():
    real, fake = torch.tensor([0.6, 0.4, 0.9, 0.5]), torch.tensor([0.1, 0.2, 0.7, 0.3])
    assert diagnostics.accuracy(real, fake, 0.5).item() == pytest.approx((2.5 + 3) / 8)
    assert diagnostics.accuracy(real, fake, 0.0).item() == pytest.approx(4 / 8)
    assert diagnostics.accuracy(real, fake, None).item() == 1.0
    values = of_discriminator(LeastSquares(a=0.0, b=1.0, c=1.0), Critic(first), real[:, None], fake[:, None])
    assert values["score/accuracy"].item() == pytest.approx((2.5 + 3) / 8)


def test_accuracy_without_a_threshold_does_not_see_an_offset():
    torch.manual_seed(0)
    real, fake = torch.randn(50, 1, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    one, other = (
        of_discriminator(Wasserstein(), Critic(lambda x, c=c: x[:, 0] + c), real, fake)["score/accuracy"]
        for c in (0.0, 100.0)
    )
    assert one == other
    assert one.item() == pytest.approx((real > fake).double().mean().item())
    assert diagnostics.accuracy(torch.zeros(4), torch.zeros(4), None).item() == 0.5  # a constant critic guesses


def test_secants_of_a_linear_critic():
    torch.manual_seed(0)
    weight = torch.randn(12)
    real, fake = torch.randn(8, 3, 2, 2), torch.randn(8, 3, 2, 2)
    fake[0] = real[0] + 2.5 * weight.view(3, 2, 2)  # along the gradient
    fake[1] = real[1]  # no line at all
    comparison = objective_of(Wasserstein()).compare(Critic(lambda x: x.flatten(1) @ weight), real, fake, None, START)
    slopes = diagnostics.secants(comparison)
    assert slopes[0].item() == slopes.max().item() == pytest.approx(weight.norm().item(), rel=1e-5)
    assert slopes[1].item() == 0.0
    expected = ((real - fake)[2:].flatten(1) @ weight).abs() / (real - fake)[2:].flatten(1).norm(dim=1)
    assert torch.allclose(slopes[2:], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "logit", "strength"),
    [
        (Minimax(1.0, 0.0, 0.0), -5.0, 0.0066928509),
        (Minimax(1.0, 0.0, 0.0), 5.0, 0.9933071491),
        (NonSaturating(1.0, 0.0, 0.0), -5.0, 0.9933071491),
        (NonSaturating(1.0, 0.0, 0.0), 5.0, 0.0066928509),
        (Wasserstein(), 3.0, 1.0),
        (Hinge(), -3.0, 1.0),
        (LeastSquares(a=0.0, b=1.0, c=1.0), 0.25, 0.75),
    ],
)
def test_saturation_at_known_logits(loss, logit, strength):
    fake = torch.full((6, 1), logit)
    tag = "saturation/generator_gradient"
    assert of_generator(loss, Critic(first), fake)[tag] == pytest.approx(strength, rel=1e-5)
    patches = Critic(lambda x: x[:, :, None, None].expand(-1, 1, 3, 3), lambda x: x[:, :, None, None])
    assert of_generator(loss, patches, fake)[tag] == pytest.approx(strength, rel=1e-5)
    assert of_generator(loss, Critic(first), fake, top_k=lambda progress: 0.5)[tag] == pytest.approx(strength, rel=1e-5)


def test_a_loss_of_pairs_saturates_too_and_one_without_scores_is_left_out():
    class Pairs(AdversarialLoss):
        """Relativistic: -log σ(f - r)."""

        def generator_terms(self, comparison):
            return {"pairs": nn.functional.softplus(comparison.real_output.score - comparison.fake_output.score).mean()}

    class Moments(AdversarialLoss):
        def generator_terms(self, comparison):
            assert comparison.fake_output
            return {"moments": comparison.fake.mean() ** 2}

    tag = "saturation/generator_gradient"
    assert of_generator(Pairs(), Critic(first), torch.full((6, 1), 5.0))[tag] == pytest.approx(0.0066928509, rel=1e-4)
    assert tag not in of_generator(Moments(), Critic(first), torch.ones(6, 1))


def test_diversity():
    torch.manual_seed(0)
    images = torch.randn(16, 3, 4, 4)
    assert diagnostics.diversity(images, images).item() == pytest.approx(1.0)
    assert diagnostics.diversity(0.25 * images + 3, images).item() == pytest.approx(0.25, rel=1e-4)
    assert diagnostics.diversity(images[:1].expand(16, -1, -1, -1), images).item() == pytest.approx(0.0, abs=1e-6)
    constant_images = torch.ones(4, 1, 2, 2)
    assert diagnostics.diversity(constant_images, constant_images).isfinite()
    expected = images.std(0, correction=0).mean() / (2 * images).std(0, correction=0).mean()
    assert diagnostics.diversity(images, 2 * images).item() == pytest.approx(expected.item(), rel=1e-5)


def test_no_pass_through_a_network_and_no_randomness():
    critic, objective = Critic(first), objective_of(NonSaturating(1.0, 0.0, 0.0))
    comparison = objective.compare(critic, torch.randn(8, 2), torch.randn(8, 2), None, START)
    terms = objective.discriminator_terms(comparison)
    passes, state = critic.passes, torch.get_rng_state()
    values = diagnostics.of_discriminator(objective, comparison, terms)
    assert critic.passes == passes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(value.ndim == 0 and not value.requires_grad and value.isfinite() for value in values.values())


def test_a_single_sample_has_no_diversity():
    values = of_discriminator(Wasserstein(), Critic(first), torch.zeros(1, 2), torch.ones(1, 2))
    assert "diversity/fake_to_real" not in values


def test_augmentations_are_asked():
    class Adaptive(nn.Module):
        probability = torch.tensor(0.25)

        def forward(self, samples, moment):
            return samples

        def observe(self, comparison):
            pass

        def statistics(self):
            return {"adaptive/probability": self.probability}

    objective = Objective(Hinge(), None, {}, {}, 1, None, {"adaptive": Adaptive()})
    comparison = objective.compare(Critic(first), torch.zeros(2, 1), torch.zeros(2, 1), None, START)
    values = diagnostics.of_discriminator(objective, comparison, objective.discriminator_terms(comparison))
    Adaptive.probability.fill_(0.5)  # it adapts in place
    assert values["adaptive/probability"].item() == 0.25
