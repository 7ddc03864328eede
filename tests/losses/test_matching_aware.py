"""The matching-aware loss: its values, its optimal discriminator, and which labels it takes for wrong."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ganrun.core.errors import RunError
from ganrun.core.types import DiscriminatorOutput
from ganrun.losses.base import Comparison
from ganrun.losses.began import BoundaryEquilibrium
from ganrun.losses.c_transform import CTransform
from ganrun.losses.gan_qp import QuadraticPotential
from ganrun.losses.hinge import Hinge
from ganrun.losses.matching_aware import MatchingAware
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.wasserstein import Wasserstein

PLAIN = NonSaturating(1.0, 0.0, 0.0)


class Matched(nn.Module):
    """Scores by sample and label; the first column of a sample says where it stands in the table."""

    def __init__(self, table) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.as_tensor(table, dtype=torch.float64))

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(self.table[condition, samples[:, 0].long()],))


def terms(loss, table, real, fake, labels):
    comparison = Comparison(Matched(table), torch.tensor(real)[:, None], torch.tensor(fake)[:, None], labels)
    return loss.discriminator_terms(comparison), loss.generator_terms(comparison)


@pytest.mark.parametrize(("weight", "value"), [(1.0, 2.53543175059), (0.5, 1.556158036)])
@pytest.mark.parametrize("wrong", ["strict", "independent"])
def test_value_at_fixed_outputs(weight, value, wrong):
    """Samples 0 to 2 are real, 3 to 5 generated; two classes would do for no wrong label but the other one."""
    labels = torch.tensor([0, 1, 2])
    loss = MatchingAware(PLAIN, weight, weight, wrong)
    loss.wrong_conditions = lambda labels: (torch.tensor([1, 2, 0]), torch.ones(3))
    table = torch.full((3, 6), math.nan)
    table[labels, [0, 1, 2]] = torch.tensor([1.2, -0.4, 0.3])
    table[labels, [3, 4, 5]] = torch.tensor([-0.7, 0.5, 2.0])
    table[[1, 2, 0], [0, 1, 2]] = torch.tensor([0.4, -1.1, 0.8])
    discriminator, generator = terms(loss, table, [0, 1, 2], [3, 4, 5], labels)
    assert sum(discriminator.values()).item() == pytest.approx(value, abs=1e-7)
    assert sum(generator.values()).item() == pytest.approx(0.56806368137, abs=1e-7)


@pytest.mark.parametrize(
    ("weight", "fakes", "value", "same", "other"),
    [
        (1.0, 0.6, 1.81474927136, 0.421052631579, 0.181818181818),
        (0.5, 0.6, 1.3136735416, 0.592592592593, 0.307692307692),
        (1.0, 0.8, 1.87224530033, 0.380952380952, 0.222222222222),
        (0.5, 0.8, 1.35780586898, 0.551724137931, 0.363636363636),
    ],
)
def test_optimal_discriminator_of_two_classes(weight, fakes, value, same, other):
    """Reals match their label in 4 of 5 cases, wrong pairs in every second one: p / (p + w (p_g + p_w))."""
    labels = torch.tensor([0] * 10 + [1] * 10)
    real = [0] * 8 + [1] * 2 + [1] * 8 + [0] * 2
    matching = round(10 * fakes)
    fake = [0] * matching + [1] * (10 - matching) + [1] * matching + [0] * (10 - matching)
    loss = MatchingAware(PLAIN, weight, weight, "independent")
    loss.wrong_conditions = lambda labels: (torch.tensor([0, 1] * 10), torch.ones(20))
    comparison = Comparison(
        Matched([[0.0, 0.0], [0.0, 0.0]]), torch.tensor(real)[:, None], torch.tensor(fake)[:, None], labels
    )
    discriminator = comparison.discriminator
    optimizer = torch.optim.LBFGS(discriminator.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        fresh = Comparison(discriminator, comparison.real, comparison.fake, labels)
        found = sum(loss.discriminator_terms(fresh).values())
        found.backward()
        return found

    optimizer.step(closure)
    assert closure().item() == pytest.approx(value, abs=1e-9)
    expected = torch.tensor([[same, other], [other, same]], dtype=torch.float64)
    assert torch.allclose(discriminator.table.sigmoid(), expected, atol=1e-5)


def test_strict_labels_are_wrong_and_spread_over_the_others():
    torch.manual_seed(0)
    loss = MatchingAware(PLAIN, 0.5, 0.5, "strict")
    labels = torch.tensor([0, 1, 2, 2]).repeat(500)
    wrong, weights = loss.wrong_conditions(labels)
    assert (wrong != labels).all()
    assert torch.equal(weights, torch.ones(2000))
    chosen = torch.bincount(wrong[labels == 0], minlength=3)
    assert chosen[1].item() == pytest.approx(500 / 3, abs=45)  # four deviations
    assert chosen[0] == 0


def test_a_label_without_alternative_has_no_weight():
    loss = MatchingAware(PLAIN, 1.0, 1.0, "strict")
    discriminator, _ = terms(loss, torch.randn(1, 4), [0, 1], [2, 3], torch.tensor([0, 0]))
    assert discriminator["wrong"].item() == 0
    assert discriminator["real"].item() > 0


def test_independent_labels_are_those_of_the_neighbours():
    labels = torch.tensor([3, 1, 4, 1])
    wrong, weights = MatchingAware(PLAIN, 0.5, 0.5, "independent").wrong_conditions(labels)
    assert wrong.tolist() == [1, 3, 1, 4]
    assert weights.tolist() == [1, 1, 1, 1]


def test_terms_of_any_element_wise_loss_are_weighted():
    loss = MatchingAware(Hinge(), 0.3, 0.7, "strict")
    labels, table = torch.tensor([0, 1]), torch.tensor([[0.2, -0.4, 0.3, 0.0], [0.6, 0.9, 0.0, -0.2]])
    discriminator, generator = terms(loss, table, [0, 1], [2, 3], labels)
    assert discriminator["real"].item() == pytest.approx((0.8 + 0.1) / 2)
    assert discriminator["fake"].item() == pytest.approx(0.3 * (1.3 + 0.8) / 2)
    assert discriminator["wrong"].item() == pytest.approx(0.7 * (1.6 + 0.6) / 2)
    assert generator["adversarial"].item() == pytest.approx(-(0.3 - 0.2) / 2)


def test_score_maps_are_weighted_by_sample():
    class Patches(nn.Module):
        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(condition.view(-1, 1, 1, 1).expand(-1, 1, 2, 2).float(),))

    loss = MatchingAware(Hinge(), 1.0, 1.0, "strict")
    loss.wrong_conditions = lambda labels: (torch.tensor([5, 7]), torch.tensor([0.0, 2.0]))
    comparison = Comparison(Patches(), torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([0, 1]))
    assert loss.discriminator_terms(comparison)["wrong"].item() == 8


def test_without_conditions_it_says_what_to_do():
    comparison = Comparison(Matched([[0.0]]), torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(RunError, match=r"Set model\.conditional=true"):
        MatchingAware(PLAIN, 0.5, 0.5, "strict").discriminator_terms(comparison)


def test_a_text_is_wrong_where_its_vector_differs():
    torch.manual_seed(0)
    loss = MatchingAware(PLAIN, 0.5, 0.5, "strict")
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]).repeat(500, 1)
    wrong, weights = loss.wrong_conditions(texts)
    assert (wrong != texts).any(1).all()
    assert torch.equal(weights, torch.ones(2000))
    of_first = wrong[::4]
    assert (of_first == texts[1]).all(1).sum().item() == pytest.approx(250, abs=45)  # four deviations
    alike, weights = loss.wrong_conditions(texts[::2][::2])
    assert torch.equal(alike, texts[::2][::2])
    assert not weights.any()
    next_ones, _ = MatchingAware(PLAIN, 0.5, 0.5, "independent").wrong_conditions(texts[:4])
    assert torch.equal(next_ones, texts[[3, 0, 1, 2]])


class TwoHeads(nn.Module):
    """One score by sample and label, and one by sample alone."""

    def forward(self, samples, condition=None):
        alone = samples[:, 0]
        return DiscriminatorOutput(scores=(alone + condition, 10 * alone), unconditional=1)


def test_the_three_terms_of_the_fakes_share_their_weight():
    """½ (real_c + real_u) + ⅓ (fake_c + wrong_c + fake_u), here of scores that a Wasserstein loss adds up."""
    loss = MatchingAware(Wasserstein(), 0.5, 0.5, "independent")
    labels = torch.tensor([1.0, 3.0])
    real, fake = torch.tensor([[0.2], [0.4]]), torch.tensor([[-0.5], [0.1]])
    found = loss.discriminator_terms(Comparison(TwoHeads(), real, fake, labels))
    assert found["real"].item() == pytest.approx(-((0.3 + 2) + 3.0) / 2)
    assert found["fake"].item() == pytest.approx(((-0.2 + 2) - 2.0) / 3, abs=1e-6)
    assert found["wrong"].item() == pytest.approx((0.3 + 2) / 3)
    statistics = loss.statistics()
    assert statistics["score/wrong"].item() == pytest.approx(2.3)
    assert statistics["score/matching"].item() == pytest.approx(0, abs=1e-6)  # a sum knows no pairs


@pytest.mark.parametrize(("fake", "wrong"), [(0.5, 0.5), (0.3, 0.7), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_a_score_of_samples_alone_does_not_change_the_balance(fake, wrong):
    loss = MatchingAware(PLAIN, fake, wrong, "strict")
    assert sum(loss.weights(alone=True)) == pytest.approx(sum(loss.weights(alone=False)) if fake + wrong else 0)


def test_a_relativistic_loss_compares_a_real_with_itself_under_a_wrong_text():
    loss = MatchingAware(RelativisticPairs("paired"), 0.5, 0.5, "strict")
    table = torch.tensor([[0.2, -0.4, 0.3, 0.0], [0.6, 0.9, 0.0, -0.2]], dtype=torch.float64)
    found, generator = terms(loss, table, [0, 1], [2, 3], torch.tensor([0, 1]))
    softplus = torch.nn.functional.softplus
    assert torch.allclose(found["pairs"], 0.5 * softplus(table[[0, 1], [2, 3]] - table[[0, 1], [0, 1]]).mean())
    assert torch.allclose(found["wrong"], 0.5 * softplus(table[[1, 0], [0, 1]] - table[[0, 1], [0, 1]]).mean())
    assert generator.keys() == {"adversarial"}


@pytest.mark.parametrize(
    "loss", [QuadraticPotential(1.0, "l1"), CTransform("euclidean", 0.0), BoundaryEquilibrium(0.5, 0.001)]
)
def test_losses_that_compare_samples_are_refused(loss):
    with pytest.raises(ValueError, match=f"{type(loss).__name__} is not"):
        MatchingAware(loss, 0.5, 0.5, "strict")


def test_a_loss_without_bound_needs_equal_weights():
    with pytest.raises(ValueError, match=r"no bound.*fake_weight=1.0 and wrong_weight=1.0 must sum to 1"):
        MatchingAware(Wasserstein(), 1.0, 1.0, "strict")
    loss = MatchingAware(Wasserstein(), 0.3, 0.7, "strict")
    shifted = [
        sum(
            terms(loss, torch.tensor([[0.2, 0.1], [0.6, 0.9]]) + shift, [0, 1], [0, 1], torch.tensor([0, 1]))[
                0
            ].values()
        )
        for shift in (0.0, 5.0)
    ]
    assert shifted[0].item() == pytest.approx(shifted[1].item(), abs=1e-6)


def test_no_equilibrium_is_promised():
    assert MatchingAware(PLAIN, 0.5, 0.5, "independent").equilibrium() == {}
