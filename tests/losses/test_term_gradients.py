"""All terms alike: gradients by finite differences, who gets one, micro-batches, and augmentations in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from critics import LinearCritic, Smooth, points
from torch import Tensor, nn

from ganrun.augment.base import Augment
from ganrun.core.schedules import linear
from ganrun.core.types import Moment
from ganrun.losses.base import Comparison, Term
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.terms import input_gradient
from ganrun.losses.terms.class_prediction import ClassPrediction
from ganrun.losses.terms.dragan import Dragan
from ganrun.losses.terms.feature_matching import FeatureMatching
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.historical_averaging import HistoricalAveraging
from ganrun.losses.terms.lazy import Lazy
from ganrun.losses.terms.lecam import LeCam
from ganrun.losses.terms.orthogonal import Orthogonal
from ganrun.losses.terms.pulling_away import PullingAway
from ganrun.losses.terms.r1 import R1, R2
from ganrun.losses.terms.scheduled import Scheduled
from ganrun.losses.terms.wasserstein_divergence import WassersteinDivergence

PENALTIES: dict[str, Callable[[], Term]] = {
    "two": lambda: GradientPenalty(10.0, 1.0, "two", "lines", "sample"),
    "one": lambda: GradientPenalty(10.0, 0.1, "one", "lines", "sample"),
    "one_squared": lambda: GradientPenalty(10.0, 0.1, "one_squared", "real", "sample"),
    "zero": lambda: GradientPenalty(10.0, 0.0, "two", "fake", "sample"),
    "r1": lambda: R1(10.0),
    "r2": lambda: R2(10.0),
    "dragan": lambda: Dragan(10.0, 1.0, 0.5),
    "wasserstein_divergence": lambda: WassersteinDivergence(2.0, 6.0, "lines"),
    "lazy": lambda: Lazy(R1(10.0), 4),
    "scheduled": lambda: Scheduled(R1(10.0), linear(0.0, 1.0, 0.5)),
}
TERMS = PENALTIES | {
    "lecam": lambda: LeCam(0.3, "relu", 0.9, 0),
    "lecam_l2": lambda: LeCam(0.3, "l2", 0.9, 0),
    "orthogonal": lambda: Orthogonal(1.0, "off_diagonal"),
    "orthogonal_full": lambda: Orthogonal(1.0, "full"),
    "pulling_away": lambda: PullingAway(1.0),
    "class_prediction": lambda: ClassPrediction(1.0, "both"),
}
OF_GENERATOR: dict[str, Callable[[], Term]] = {
    "feature_matching": lambda: FeatureMatching(1.0, "l2"),
    "feature_matching_l1": lambda: FeatureMatching(1.0, "l1"),
    "pulling_away": lambda: PullingAway(1.0),
    "class_prediction": lambda: ClassPrediction(1.0, "fake"),
}
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture
def fixed_anchors(monkeypatch):
    """LeCam's anchors are constants to autograd, so finite differences must not move them either."""
    anchors = torch.tensor(0.1, dtype=torch.float64), torch.tensor(-0.2, dtype=torch.float64)
    monkeypatch.setattr(LeCam, "anchors", lambda *scores: anchors)


@pytest.mark.usefixtures("fixed_anchors")
@pytest.mark.parametrize("name", TERMS)
def test_discriminator_gradient_matches_finite_differences(name):
    """Through the double backward, for every parameter."""
    critic, term = Smooth(), TERMS[name]()
    critic.trunk[0].weight.data *= 3  # slopes on both sides of the targets
    term.attach(critic)
    comparison_of = (critic, points(6), points(6), LABELS, Moment(4, 0.25))

    def value() -> Tensor:
        torch.manual_seed(2)
        return term(Comparison(*comparison_of))

    parameters = list(critic.parameters())
    found = torch.autograd.grad(value(), parameters, materialize_grads=True)
    assert max(gradient.abs().max() for gradient in found) > 1e-3
    for parameter, gradient in zip(parameters, found, strict=True):
        flat, expected = parameter.data.view(-1), torch.zeros(parameter.numel(), dtype=torch.float64)
        for index in range(len(flat)):
            flat[index] += 1e-6
            above = value().item()
            flat[index] -= 2e-6
            expected[index] = (above - value().item()) / 2e-6
            flat[index] += 1e-6
        torch.testing.assert_close(gradient.flatten(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OF_GENERATOR)
def test_generator_gradient_matches_finite_differences(name):
    critic, term, real = Smooth(), OF_GENERATOR[name](), points(6)
    fake = points(6).requires_grad_()
    assert torch.autograd.gradcheck(lambda fake: term(Comparison(critic, real, fake, LABELS)), fake)


@pytest.mark.parametrize("name", OF_GENERATOR)
def test_generator_terms_leave_the_discriminator_alone(name):
    critic, generator = Smooth(), nn.Linear(2, 2).double()
    comparison = Comparison(critic, points(6), generator(points(6)), LABELS)
    comparison.reals_are_constant = True  # as the objective says in a generator's move
    value = OF_GENERATOR[name]()(comparison)
    assert not comparison.real_output.features[0].requires_grad
    value.backward(inputs=list(generator.parameters()))
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_give_the_samples_no_gradient(name):
    real, fake = points(6).requires_grad_(), points(6).requires_grad_()
    PENALTIES[name]()(Comparison(Smooth(), real, fake)).backward()
    assert real.grad is None
    assert fake.grad is None


@pytest.mark.parametrize("name", [*PENALTIES, "class_prediction", "orthogonal"])
def test_micro_batches_add_up_to_the_whole_batch(monkeypatch, name):
    """Where samples are independent and meet the same random numbers, here functions of the sample."""
    monkeypatch.setattr(input_gradient, "one_per_sample", lambda samples: samples[:, :1].sigmoid())
    monkeypatch.setattr("ganrun.losses.terms.dragan.around", lambda real, noise: real + real.sigmoid())
    critic, real, fake = Smooth(), points(6), points(6)
    term = TERMS[name]()
    term.attach(critic)
    objective = Objective(NonSaturating(1.0, 0.0, 0.0), None, {name: term}, {}, 1, None, {})

    def gradients(size: int) -> list[Tensor]:
        critic.zero_grad()
        for part in range(0, 6, size):
            chosen = slice(part, part + size)
            comparison = Comparison(critic, real[chosen], fake[chosen], LABELS[chosen])
            loss = torch.stack(list(objective.discriminator_terms(comparison).values())).sum()
            (loss * size / 6).backward()
        return [p.grad.clone() for p in critic.parameters() if p.grad is not None]

    torch.testing.assert_close(gradients(2), gradients(6), rtol=1e-12, atol=1e-12)


class Stretch(Augment):
    """Everything twice as large."""

    def forward(self, samples: Tensor, moment: Moment) -> Tensor:
        return 2 * samples


def test_gradient_is_that_of_the_sample_before_augmentation():
    objective = Objective(NonSaturating(1.0, 0.0, 0.0), None, {"r1": R1(10.0)}, {}, 1, None, {"stretch": Stretch()})
    critic, real, fake = LinearCritic([3.0, 4.0]), points(), points()
    comparison = objective.compare(critic, real, fake, None, Moment(0, 0.0))
    torch.testing.assert_close(comparison.real_output.score, 2 * real @ critic.w)
    torch.testing.assert_close(comparison.fake_output.score, 2 * fake @ critic.w)
    assert objective.discriminator_terms(comparison)["r1"].item() == pytest.approx(500.0)  # γ/2 · (2·5)²


def test_history_of_a_whole_network_is_one_distance():
    """The same as one long vector's."""
    critic, term = Smooth(), HistoricalAveraging(2.0)
    term.attach(critic)
    past = []
    for seed in range(3):
        for parameter, new in zip(critic.parameters(), Smooth(seed=seed).parameters(), strict=True):
            parameter.data.copy_(new)
        past.append(nn.utils.parameters_to_vector(critic.parameters()).detach())
        value = term(Comparison(critic, points(), points()))
    expected = 2 * (past[-1] - torch.stack(past).mean(0)).square().sum()
    torch.testing.assert_close(value, expected)
