"""Losses at fixed outputs, at equilibrium and in their gradients, against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganrun.core.types import START, DiscriminatorOutput
from ganrun.losses.base import AdversarialLoss, Comparison, couples_samples
from ganrun.losses.ebgan import EnergyMargin
from ganrun.losses.fgan import FGAN
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticAverage, RelativisticPairs
from ganrun.losses.wasserstein import Wasserstein

REAL = torch.tensor([1.2, -0.4, 0.3], dtype=torch.float64)
FAKE = torch.tensor([-0.7, 0.5, 2.0], dtype=torch.float64)
LOG2 = math.log(2)

HARD = (1.0, 0.0, 0.0)
"""Targets of a logistic loss without smoothing or flips."""

LOSSES = {
    "minimax": Minimax(*HARD),
    "nonsaturating": NonSaturating(*HARD),
    "one_sided": NonSaturating(0.9, 0.0, 0.0),
    "two_sided": NonSaturating(0.9, 0.1, 0.0),
    "lsgan": LeastSquares(0.0, 1.0, 1.0),
    "lsgan_symmetric": LeastSquares(-1.0, 1.0, 0.0),
    "wgan": Wasserstein(),
    "hinge": Hinge(),
    "rsgan": RelativisticPairs("paired"),
    "rsgan_all": RelativisticPairs("all"),
    "ragan": RelativisticAverage("logistic"),
    "ralsgan": RelativisticAverage("least_squares"),
    "rahinge": RelativisticAverage("hinge"),
}
"""Losses of scores alone; :mod:`test_fgan` has the f-GANs."""

RELATIVISTIC = ["rsgan", "rsgan_all", "ragan", "ralsgan", "rahinge"]


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("minimax", 1.74494800277, -1.16806368137),
        ("nonsaturating", 1.74494800277, 0.56806368137),
        ("one_sided", 1.78161466944, 0.56806368137),
        ("two_sided", 1.72161466944, 0.56806368137),
        ("lsgan", 1.205, 0.69),
        ("lsgan_symmetric", 2.305, 0.79),
        ("wgan", 0.233333333333, -0.6),
        ("hinge", 2.3, -0.6),
        ("rsgan", 1.08277555413, 0.8494422208),
        ("rsgan_all", 0.997245036751, 0.763911703417),
        ("ragan", 1.82487191000, 1.35820524333),
        ("ralsgan", 4.69111111111, 2.82444444444),
        ("rahinge", 2.48888888889, 1.74444444444),
    ],
)
def test_value_at_fixed_outputs(sides, name, discriminator, generator):
    assert sides(LOSSES[name], REAL, FAKE) == pytest.approx((discriminator, generator), abs=1e-9)


def test_energy_margin_at_fixed_energies(sides):
    real = torch.tensor([0.5, 1.5, 0.2], dtype=torch.float64)
    fake = torch.tensor([4.0, 12.0, 9.0], dtype=torch.float64)
    assert sides(EnergyMargin(10.0), -real, -fake) == pytest.approx((3.06666666667, 8.33333333333), abs=1e-9)


def test_energies_before_a_wasserstein_critic(sides):
    """The energy model without its penalty: mean U(x) - mean U(y) against mean U(y), with U = -D."""
    discriminator, generator = sides(Wasserstein(), -REAL, -FAKE)
    assert (discriminator, generator) == pytest.approx((-0.233333333333, 0.6), abs=1e-9)


@pytest.mark.parametrize(
    ("loss", "score", "discriminator", "generator"),
    [
        (Minimax(*HARD), 0.0, 2 * LOG2, -LOG2),
        (NonSaturating(*HARD), 0.0, 2 * LOG2, LOG2),
        (NonSaturating(0.9, 0.0, 0.0), math.log(0.45 / 0.55), 1.37627762743, -math.log(0.45)),
        (NonSaturating(0.9, 0.1, 0.0), 0.0, 2 * LOG2, LOG2),
        (Minimax(0.9, 0.0, 0.0), math.log(0.45 / 0.55), 1.37627762743, math.log(0.55)),
        (LeastSquares(0.0, 1.0, 1.0), 0.5, 0.25, 0.125),
        (LeastSquares(-1.0, 1.0, 0.0), 0.0, 1.0, 0.0),
        (Hinge(), 0.3, 2.0, None),
        (Wasserstein(), 0.7, 0.0, None),
        (RelativisticPairs("paired"), 0.7, LOG2, LOG2),
        (RelativisticPairs("all"), 0.7, LOG2, LOG2),
        (RelativisticAverage("logistic"), 0.7, 2 * LOG2, 2 * LOG2),
        (RelativisticAverage("least_squares"), 0.7, 2.0, 2.0),
        (RelativisticAverage("hinge"), 0.7, 2.0, 2.0),
        (EnergyMargin(10.0), -3.0, 10.0, None),
        (FGAN("gan", 0.5, 0.5, "saturating", "conjugate", None), 0.0, 2 * LOG2, -LOG2),
        (FGAN("gan", 0.5, 0.5, "alternative", "ratio", None), 0.0, 2 * LOG2, LOG2),
    ],
)
def test_value_at_equilibrium(sides, loss, score, discriminator, generator):
    """Where reals and fakes are the same points, with the optimal score; ``equilibrium`` knows the same values."""
    scores = torch.full((4,), score, dtype=torch.float64)
    reached = sides(loss, scores, scores)
    assert reached[0].item() == pytest.approx(discriminator, abs=1e-10)
    assert generator is None or reached[1].item() == pytest.approx(generator, abs=1e-10)
    known = {"discriminator": discriminator} | ({} if generator is None else {"generator": generator})
    assert loss.equilibrium() == pytest.approx(known, abs=1e-10)


@pytest.mark.parametrize("loss", [Minimax(0.9, 0.0, 0.0), NonSaturating(*HARD), LeastSquares(0.0, 1.0, 1.0), Hinge()])
def test_no_score_does_better_at_equilibrium(sides, loss):
    scores = torch.linspace(-3, 3, 121, dtype=torch.float64)
    reached = [sides(loss, score[None], score[None])[0].item() for score in scores]
    assert min(reached) >= loss.equilibrium()["discriminator"] - 1e-12


@pytest.mark.parametrize(
    ("name", "score", "gradient"),
    [
        ("minimax", -10.0, -4.53978687024e-05),
        ("minimax", -5.0, -0.00669285092428),
        ("minimax", 0.0, -0.5),
        ("minimax", 5.0, -0.993307149076),
        ("nonsaturating", -10.0, -0.999954602131),
        ("nonsaturating", -5.0, -0.993307149076),
        ("nonsaturating", 0.0, -0.5),
        ("nonsaturating", 5.0, -0.00669285092428),
        ("two_sided", 5.0, -0.00669285092428),
        ("lsgan", 3.0, 2.0),
        ("lsgan_symmetric", 3.0, 3.0),
        ("hinge", 3.0, -1.0),
        ("wgan", -3.0, -1.0),
        ("rsgan", 0.3, -1 / (1 + math.exp(0.3 - 1.2))),
    ],
)
def test_generator_gradient_at_one_fake_score(sides, name, score, gradient):
    fake = torch.tensor([score], dtype=torch.float64, requires_grad=True)
    sides(LOSSES[name], REAL[:1], fake)[1].backward()
    assert fake.grad.item() == pytest.approx(gradient, abs=1e-11)


def test_generator_gradient_of_an_energy_is_one(sides):
    energy = torch.tensor([4.0, 12.0], requires_grad=True)
    sides(EnergyMargin(10.0), -torch.ones(2), -energy)[1].backward()
    assert (energy.grad * 2).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("real", "fake"), [(1e4, 1e4), (1e4, -1e4), (-1e4, 1e4), (-1e4, -1e4)])
def test_losses_and_gradients_stay_finite_far_out(sides, name, real, fake):
    scores = torch.tensor([real, real], requires_grad=True), torch.tensor([fake, fake], requires_grad=True)
    for value in sides(LOSSES[name], *scores):
        gradients = torch.autograd.grad(value, scores, allow_unused=True)
        assert value.isfinite()
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_one(sides, name):
    assert all(value.isfinite() for value in sides(LOSSES[name], REAL[:1], FAKE[:1]))


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"rsgan"}))
def test_the_order_of_samples_does_not_matter_but_to_pairs(sides, name):
    shuffled = torch.stack(sides(LOSSES[name], REAL[[2, 0, 1]], FAKE[[1, 0, 2]]))
    assert torch.allclose(shuffled, torch.stack(sides(LOSSES[name], REAL, FAKE)), atol=1e-12)


def test_paired_losses_see_who_stands_beside_whom(sides):
    loss = LOSSES["rsgan"]
    assert sides(loss, REAL, FAKE[[1, 0, 2]])[0].item() != pytest.approx(sides(loss, REAL, FAKE)[0].item(), abs=1e-3)


@pytest.mark.parametrize("name", RELATIVISTIC)
def test_relativistic_losses_ignore_a_constant(sides, name):
    scores = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    moved = (REAL + 7).requires_grad_(), (FAKE + 7).requires_grad_()
    for value, same in zip(sides(LOSSES[name], *scores), sides(LOSSES[name], *moved), strict=True):
        assert value.item() == pytest.approx(same.item(), abs=1e-12)
        gradients = zip(torch.autograd.grad(value, scores[1:]), torch.autograd.grad(same, moved[1:]), strict=True)
        assert all(torch.allclose(first, second, atol=1e-12) for first, second in gradients)


@pytest.mark.parametrize("name", RELATIVISTIC)
def test_relativistic_sides_are_each_other_with_swapped_roles(sides, name):
    assert sides(LOSSES[name], REAL, FAKE)[1].item() == pytest.approx(
        sides(LOSSES[name], FAKE, REAL)[0].item(), abs=1e-12
    )


@pytest.mark.parametrize("formula", ["logistic", "least_squares", "hinge"])
def test_the_gradient_passes_through_the_means(sides, formula):
    """Against central differences, for reals and fakes; a detached mean would fail."""

    def discriminator(real, fake):
        return sides(RelativisticAverage(formula), real, fake)[0]

    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    assert torch.autograd.gradcheck(discriminator, (real, fake))


def test_wasserstein_loss_of_the_critic_ignores_a_constant(sides):
    assert sides(Wasserstein(), REAL + 7, FAKE + 7)[0].item() == pytest.approx(
        sides(Wasserstein(), REAL, FAKE)[0].item(), abs=1e-12
    )


def test_relativistic_score_maps_are_compared_place_by_place():
    class Patches(nn.Module):
        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(samples, samples[..., :1, :1]))

    real, fake = torch.randn(3, 1, 2, 2, dtype=torch.float64), torch.randn(3, 1, 2, 2, dtype=torch.float64)
    terms = RelativisticPairs("paired").discriminator_terms(Comparison(Patches(), real, fake))
    expected = [(1 + (fake - real).exp()).log().mean(), (1 + (fake - real)[..., 0, 0].exp()).log().mean()]
    assert terms["pairs"].item() == pytest.approx(sum(expected).item() / 2)
    every = RelativisticPairs("all").discriminator_terms(Comparison(Patches(), real, fake))
    pairs = [(1 + (fake[j] - real[i]).exp()).log().mean() for i in range(3) for j in range(3)]
    corner = [(1 + (fake[j] - real[i])[0, 0, 0].exp()).log() for i in range(3) for j in range(3)]
    assert every["pairs"].item() == pytest.approx(((sum(pairs) + sum(corner)) / 18).item())


def test_half_precision_scores_are_judged_in_single_precision(sides):
    real, fake = REAL.bfloat16(), FAKE.bfloat16()
    for loss in LOSSES.values():
        for value, exact in zip(sides(loss, real, fake), sides(loss, real.double(), fake.double()), strict=True):
            assert value.dtype == torch.float32
            assert value.item() == pytest.approx(exact.item(), rel=1e-5)


def test_a_plain_loss_knows_no_equilibrium_and_certifies_nothing():
    assert AdversarialLoss().equilibrium() == {}
    assert AdversarialLoss().certificate(torch.zeros(())) == {}


def test_least_squares_refuses_equal_targets():
    with pytest.raises(ValueError, match="a and b must differ"):
        LeastSquares(1.0, 1.0, 0.0)


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


def test_a_discriminator_learns_from_reals_even_where_fakes_carry_a_graph():
    """A game need not make its fakes under no_grad; that is cheaper, not safer."""
    layer = nn.Linear(2, 2)
    objective = Objective(Wasserstein(), None, {}, {}, 1, None, {})
    fake = torch.zeros(3, 2, requires_grad=True)
    terms = objective.discriminator_terms(objective.compare(Linear(layer), torch.ones(3, 2), fake, None, START))
    terms["real"].backward()
    assert layer.weight.grad.abs().sum() > 0


def test_objective_refuses_no_critic_steps():
    with pytest.raises(ValueError, match="critic_steps must be at least 1"):
        Objective(Wasserstein(), None, {}, {}, 0, None, {})
