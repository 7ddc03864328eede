"""Losses that measure distances between samples: the c-transform and GAN-QP."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.c_transform import CTransform
from ganrun.losses.gan_qp import QuadraticPotential

X = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)
Y = torch.tensor([[0.2], [0.3], [0.9]], dtype=torch.float64)
HARD = CTransform("euclidean", 0.0)


class Fixed(nn.Module):
    """A discriminator with given scores for the reals, and for the fakes."""

    def __init__(self, real, fake=None) -> None:
        super().__init__()
        real = torch.as_tensor(real, dtype=torch.float64)
        self.scores = real, torch.zeros_like(real) if fake is None else torch.as_tensor(fake, dtype=torch.float64)

    def forward(self, samples, condition=None):
        real, fake = self.scores
        return DiscriminatorOutput(scores=(torch.cat([real, fake]) if len(samples) > len(real) else real,))


def value_of(loss, scores, real=X, fake=Y) -> torch.Tensor:
    return -sum(loss.discriminator_terms(Comparison(Fixed(scores), real, fake)).values())


def test_c_transform_of_three_points():
    comparison = Comparison(Fixed([0.1, -0.2, 0.4]), X, Y)
    assert HARD.transform(comparison).tolist() == pytest.approx([0.1, 0.2, 0.3])
    value = -sum(HARD.discriminator_terms(comparison).values())
    assert value.item() == pytest.approx(0.3)
    assert HARD.certificate(-value)["batch_transport"].item() == pytest.approx(0.3)
    assert HARD.generator_terms(comparison)["adversarial"].item() == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("loss", "scores", "value"),
    [
        (HARD, [0.0, 0.0, 0.0], 0.2),
        (HARD, [0.0, 1.0, 3.0], 0.866666666667),
        (HARD, [0.0, 0.4, 2.4], 1.0),
        (CTransform("squared_euclidean", 0.0), [0.1, -0.2, 0.4], 0.146666666667),
        (CTransform("euclidean", 1.0), [0.1, -0.2, 0.4], 0.895706827665),
        (CTransform("euclidean", 0.1), [0.1, -0.2, 0.4], 0.409602860735),
        (CTransform("euclidean", 0.01), [0.1, -0.2, 0.4], 0.310986122887),
    ],
)
def test_value_of_the_transport(loss, scores, value):
    assert value_of(loss, scores).item() == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize(
    ("softness", "transform"),
    [
        (1.0, [0.788605175457, 0.816777837872, 0.781737469665]),
        (0.1, [0.209848888638, 0.309770082146, 0.409189611422]),
        (0.01, [0.110986122887, 0.210986122887, 0.310986122887]),
    ],
)
def test_soft_transform(softness, transform):
    found = CTransform("euclidean", softness).transform(Comparison(Fixed([0.1, -0.2, 0.4]), X, Y))
    assert found.tolist() == pytest.approx(transform, abs=1e-10)


def test_the_discriminators_gradient_is_its_share_of_fakes():
    scores = torch.tensor([0.1, -0.2, 0.4], dtype=torch.float64, requires_grad=True)
    value_of(HARD, scores).backward()
    assert scores.grad.tolist() == pytest.approx([-1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("cost", ["euclidean", "squared_euclidean"])
def test_no_discriminator_exceeds_the_optimal_transport(cost):
    """Weak duality against the assignment of images, and equality with the potential found by ascent."""
    torch.manual_seed(0)
    real, fake = torch.randn(6, 2, 3, 3, dtype=torch.float64), torch.randn(6, 2, 3, 3, dtype=torch.float64)
    costs = (real[:, None] - fake[None]).flatten(2).norm(dim=2)
    costs = costs**2 if cost == "squared_euclidean" else costs
    best = costs[linear_sum_assignment(costs)].mean().item()
    loss = CTransform(cost, 0.0)
    for _ in range(50):
        assert value_of(loss, torch.randn(6, dtype=torch.float64), real, fake).item() < best + 1e-12
    scores = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    highest = -1.0
    for step in range(600):
        value = value_of(loss, scores, real, fake)
        highest = max(highest, value.item())
        (gradient,) = torch.autograd.grad(value, scores)
        with torch.no_grad():
            scores += 3 / (1 + step / 20) * gradient
    assert highest == pytest.approx(best, rel=1e-3)


def test_the_generators_gradient_points_away_from_one_real_sample():
    fake = torch.tensor([[3.0, 4.0]], requires_grad=True)
    HARD.generator_terms(Comparison(Fixed([0.0, 0.0]), torch.tensor([[0.0, 0.0], [9.0, 9.0]]), fake))[
        "adversarial"
    ].backward()
    assert fake.grad.tolist() == [pytest.approx([0.6, 0.8])]


def test_a_fake_on_a_real_sample_has_a_finite_gradient():
    for cost in ("euclidean", "squared_euclidean"):
        for softness in (0.0, 0.1):
            fake = X[:2].clone().requires_grad_()
            loss = CTransform(cost, softness)
            loss.generator_terms(Comparison(Fixed([0.0, 0.0]), X[:2], fake))["adversarial"].backward()
            assert fake.grad.isfinite().all()


def test_close_images_keep_their_distance_in_single_precision():
    real = torch.full((2, 3000), 0.9)
    fake = real + 1e-4
    found = HARD.transform(Comparison(Fixed([0.0, 0.0]), real, fake))
    assert found.tolist() == pytest.approx([(fake - real).double().norm(dim=1)[0].item()] * 2, rel=1e-4)


def test_a_soft_transform_certifies_nothing_and_no_equilibrium_of_batches_is_known():
    assert CTransform("euclidean", 0.1).certificate(torch.ones(())) == {}
    assert HARD.equilibrium() == {}


PIXELS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 4.0], [1.0, 1.0], [-1.0, 0.0]])


@pytest.mark.parametrize(("distance", "discriminator"), [("l1", 0.309634920635), ("l2", 0.299906194419)])
def test_gan_qp_at_fixed_outputs(distance, discriminator):
    comparison = Comparison(Fixed([1.2, -0.4, 0.3], [-0.7, 0.5, 2.0]), *(samples.double() for samples in PIXELS))
    loss = QuadraticPotential(10.0, distance)
    assert sum(loss.discriminator_terms(comparison).values()).item() == pytest.approx(discriminator, abs=1e-10)
    comparison = Comparison(Fixed([1.2, -0.4, 0.3], [-0.7, 0.5, 2.0]), *(samples.double() for samples in PIXELS))
    assert loss.generator_terms(comparison)["adversarial"].item() == pytest.approx(-0.233333333333, abs=1e-10)


def test_gan_qp_of_two_points():
    """Reals at 0, fakes at 3: best at a difference of 30, where its value is 15."""
    loss = QuadraticPotential(10.0, "l1")
    lead = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    point = torch.zeros(1, 1, dtype=torch.float64)

    def value(lead):
        return sum(loss.discriminator_terms(Comparison(Fixed(lead), point, point + 3)).values())

    assert value(torch.tensor([30.0])).item() == pytest.approx(-15)
    assert loss.certificate(value(torch.tensor([30.0])))["quadratic_potential"].item() == pytest.approx(15)
    lead = torch.tensor([30.0], dtype=torch.float64)
    assert value(lead + 0.1) > value(lead) < value(lead - 0.1)


class Points(nn.Module):
    """One free score for each of the points 0, 1 and 3."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(self.score[torch.tensor([0, 1, -1, 2])[samples[:, 0].long()]],))


def test_gan_qp_of_three_points_with_one_score_each(pair):
    """The best score of single samples certifies 3.800138, below the divergence 3.923262 of pairs."""
    loss, discriminator = QuadraticPotential(10.0, "l1"), Points()
    real, fake = (torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)[points] for points in pair)
    optimizer = torch.optim.LBFGS(discriminator.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        # pairs of one point have distance 0 and score difference 0
        value = sum(loss.discriminator_terms(Comparison(discriminator, real, fake)).values())
        value.backward()
        return value

    optimizer.step(closure)
    assert loss.certificate(closure())["quadratic_potential"].item() == pytest.approx(3.80013831259, abs=1e-8)


def test_gan_qp_divergence_of_pairs():
    """The closed form of the divergence at the optimal difference of a pair, and what the generator sees of it."""
    p, q, points = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.0, 1.0, 3.0]], dtype=torch.float64)
    apart = (points[:, None] - points).abs()
    a, b = p[:, None] * q, q[:, None] * p
    lead = 10 * apart * (a - b) / (a + b)
    assert lead[0].tolist() == pytest.approx([0.0, 2.5, 22.9411764706])
    real, fake = (samples.flatten()[:, None] for samples in torch.meshgrid(points, points, indexing="ij"))
    loss = QuadraticPotential(10.0, "l1")
    values = []
    for index in range(9):
        one = slice(index, index + 1)
        terms = loss.discriminator_terms(Comparison(Fixed(lead.flatten()[one]), real[one], fake[one]))
        values.append(-sum(terms.values()))
    assert (torch.stack(values) * a.flatten()).sum().item() == pytest.approx(3.92326203209, abs=1e-9)
    assert (lead * a).sum().item() == pytest.approx(7.84652406417, abs=1e-9)


def test_gan_qp_does_not_teach_the_generator_distances():
    fake = PIXELS[1].clone().requires_grad_()
    terms = QuadraticPotential(10.0, "l1").discriminator_terms(Comparison(Fixed([1.0, 2.0, 3.0]), PIXELS[0], fake))
    assert not sum(terms.values()).requires_grad


def test_gan_qp_at_equilibrium():
    loss = QuadraticPotential(10.0, "l2")
    comparison = Comparison(Fixed([0.7, 0.7, 0.7], [0.7, 0.7, 0.7]), X, Y)
    assert sum(loss.discriminator_terms(comparison).values()).item() == pytest.approx(0, abs=1e-12)
    assert loss.equilibrium() == {"discriminator": 0.0, "generator": 0.0}


def test_gan_qp_of_a_pair_of_equal_samples_is_finite():
    terms = QuadraticPotential(10.0, "l2").discriminator_terms(Comparison(Fixed([1.0, 1.0, 1.0], [1.0] * 3), X, X))
    assert all(value.isfinite() for value in terms.values())
