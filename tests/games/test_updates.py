"""Who moves when, and on which fakes: merged and simultaneous updates, top-k."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import cached

from ganrun.core.schedules import linear
from ganrun.core.types import Batch, DiscriminatorOutput, Moment
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.merged import MergedGame
from ganrun.games.simultaneous import SimultaneousGame
from ganrun.losses.base import AdversarialLoss, Comparison, Term
from ganrun.losses.hinge import Hinge
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.terms.feature_matching import FeatureMatching
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.r1 import R1
from ganrun.losses.wasserstein import Wasserstein


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(z)


class Discriminator(nn.Module):
    def __init__(self, spectral: bool = False, norm: bool = False) -> None:
        super().__init__()
        middle = nn.BatchNorm1d(8) if norm else nn.Identity()
        self.trunk = nn.Sequential(nn.Linear(2, 8), middle, nn.LeakyReLU(0.2)).double()
        self.head = nn.Linear(8, 1).double()
        if spectral:
            for module in (self.trunk[0], self.head):
                spectral_norm(module)
                module.weight  # noqa: B018  (a fresh weight has moved on: the power iteration has not converged)
                module.parametrizations.weight.original.data += torch.randn_like(module.weight)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        features = self.trunk(samples)
        return DiscriminatorOutput(scores=(self.head(features).flatten(),), features=(features,))


def latent(count: int, device: torch.device) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64)


def objective(
    loss: AdversarialLoss | None = None,
    terms: dict[str, Term] | None = None,
    generator_terms: dict[str, Term] | None = None,
    critic_steps: int = 1,
    **options: object,
) -> Objective:
    given = {"top_k": None, "augment": {}} | options
    return Objective(
        loss or NonSaturating(1.0, 0.0, 0.0), None, terms or {}, generator_terms or {}, critic_steps, **given
    )


def make(
    kind: type[AdversarialGame], objective: Objective, discriminator: nn.Module | None = None, **options: object
) -> AdversarialGame:
    torch.manual_seed(1)
    discriminator = discriminator or Discriminator()
    return kind(Generator(), discriminator, latent, objective, conditional=False, classes=0, **options)


def batch() -> Batch:
    return Batch((torch.randn(16, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64),))


def gradients(loss: Tensor, network: nn.Module, keep: bool = False) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters()), retain_graph=keep))


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def separately(game: AdversarialGame) -> tuple[list[Tensor], list[Tensor]]:
    """The gradients of both players by two backward passes, on the same fakes and weights."""
    torch.manual_seed(2)
    real = batch().real
    fake = game.generator(latent(len(real), real.device))
    with cached():
        detached, attached = game.compare(real, fake.detach()), game.compare(real, fake)
        ours = gradients(total(game.objective.discriminator_terms(detached)), game.discriminator, keep=True)
        return ours, gradients(total(game.objective.generator_terms(attached)), game.generator)


@pytest.mark.parametrize(
    ("given", "discriminator"),
    [
        (objective(), {}),
        (objective(), {"norm": True}),
        (objective(Hinge(), {"r1": R1(1.0)}), {"spectral": True}),
        (objective(Wasserstein(), {"penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")}), {}),
        (objective(generator_terms={"matching": FeatureMatching(1.0, "l2")}), {}),
        (objective(RelativisticPairs("paired")), {}),
        (objective(RelativisticPairs("paired"), top_k=linear(0.0, 1.0, 0.5)), {}),
    ],
    ids=["plain", "batch_norm", "spectral_norm", "gradient_penalty", "feature_matching", "relativistic", "top_k"],
)
def test_merged_update_gives_each_player_its_own_gradient(given, discriminator):
    torch.manual_seed(0)
    game = make(MergedGame, given, Discriminator(**discriminator), generator_factor=3.0)
    game.begin_step(Moment(0, 0.5))
    reference = deepcopy(game)
    torch.manual_seed(2)
    ((players, terms),) = next(game.play(iter([batch()]))).items()
    assert players == ("discriminator", "generator")
    assert terms["bracket"].item() == pytest.approx(0.0, abs=1e-14)
    found = gradients(total(terms), game.discriminator, keep=True), gradients(total(terms), game.generator)
    discriminators, generators = separately(reference)
    torch.testing.assert_close(found[0], discriminators, rtol=0, atol=1e-13)
    torch.testing.assert_close(found[1], [3 * gradient for gradient in generators], rtol=0, atol=1e-13)
    assert all(gradient.abs().max() > 0 for gradient in discriminators[:1] + generators)


@pytest.mark.parametrize(
    ("optimizer", "ratio"),
    [
        (lambda parameters: torch.optim.SGD(parameters, lr=0.1), 100.0),
        (lambda parameters: torch.optim.Adam(parameters, lr=0.1, eps=1e-8), 1.0),
    ],
    ids=["sgd", "adam"],
)
def test_generator_factor_is_a_learning_rate_under_gradient_descent_only(optimizer, ratio):
    def step(factor: float) -> Tensor:
        game = make(MergedGame, objective(), generator_factor=factor)
        before = nn.utils.parameters_to_vector(game.generator.parameters()).detach().clone()
        torch.manual_seed(2)
        (terms,) = next(game.play(iter([batch()]))).values()
        total(terms).backward(inputs=list(game.generator.parameters()))
        optimizer(game.generator.parameters()).step()
        return (nn.utils.parameters_to_vector(game.generator.parameters()) - before).norm()

    assert (step(100.0) / step(1.0)).item() == pytest.approx(ratio, rel=1e-4)


def test_simultaneous_move_is_of_both_players_on_the_same_weights(play):
    """Without updates in between, the alternating game differentiates the same losses."""
    simultaneous, alternating = make(SimultaneousGame, objective()), make(AdversarialGame, objective())
    torch.manual_seed(3)
    (move,) = simultaneous.play(iter([batch()]))
    torch.manual_seed(3)
    alone = [total(terms).item() for entry in alternating.play(iter([batch()])) for terms in entry.values()]
    assert list(move) == ["discriminator", "generator"]
    assert [total(terms).item() for terms in move.values()] == alone
    weights = {}
    for kind in (SimultaneousGame, AdversarialGame):
        game = make(kind, objective())
        play(game, batch, range(1), lr=0.1)
        weights[kind] = game.state_dict()
    same = {
        name: torch.equal(value, weights[AdversarialGame][name]) for name, value in weights[SimultaneousGame].items()
    }
    assert all(equal for name, equal in same.items() if name.startswith("discriminator"))
    assert not any(equal for name, equal in same.items() if name.startswith("generator"))


def test_simultaneous_game_keeps_its_further_critic_steps():
    game = make(SimultaneousGame, objective(critic_steps=3))
    moves = [list(move) for move in game.play(iter([batch() for _ in range(3)]))]
    assert moves == [["discriminator"], ["discriminator"], ["discriminator", "generator"]]


class Scores(nn.Module):
    """The samples themselves as scores, on one or two scales."""

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(scores=(samples[:, 0], samples[:, 1:].reshape(-1, 1, 1, 2)), class_logits=samples)


def test_best_fakes_come_with_their_reals_and_labels():
    """Scales count alike, whatever their number of patches."""
    fake = torch.tensor([[0.0, 1.0, 1.0], [3.0, -9.0, 3.0], [2.0, 2.0, 0.0], [1.0, -1.0, -1.0]])
    comparison = Comparison(Scores(), torch.arange(12.0).reshape(4, 3), fake, torch.arange(4))
    assert comparison.fake_output.score.tolist() == [0.0, 3.0, 2.0, 1.0]  # means over both scales: 1/2, 0, 3/2, 0
    best = comparison.best_fakes(2)
    assert best.fake.tolist() == [[2.0, 2.0, 0.0], [0.0, 1.0, 1.0]]
    assert best.condition.tolist() == [2, 0]
    assert best.real.tolist() == [[6.0, 7.0, 8.0], [0.0, 1.0, 2.0]]
    assert best.fake_output.score.tolist() == [2.0, 0.0]
    assert best.real_output.score.tolist() == [6.0, 0.0]


class FirstColumn(nn.Module):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        return DiscriminatorOutput(scores=(samples[:, 0],))


@pytest.mark.parametrize(("progress", "value"), [(0.0, -1.5), (0.5, -2.0), (1.0, -2.5)])
def test_generator_learns_from_its_best_fakes(progress, value):
    """The share falls from 1 to 1/2; the discriminator sees all."""
    given = objective(Wasserstein(), top_k=linear(0.0, 1.0, 0.5))
    fake = torch.tensor([[0.0], [3.0], [2.0], [1.0]], requires_grad=True)
    comparison = given.compare(FirstColumn(), torch.zeros(4, 1), fake, None, Moment(0, progress))
    loss = given.generator_terms(comparison)["adversarial"]
    loss.backward()
    assert loss.item() == value
    assert (fake.grad != 0).sum().item() == {0.0: 4, 0.5: 3, 1.0: 2}[progress]
    assert given.discriminator_terms(comparison)["fake"].item() == 1.5


def test_one_fake_is_always_left():
    given = objective(Wasserstein(), top_k=linear(0.0, 0.0, 0.0))
    fake = torch.tensor([[0.0], [3.0]], requires_grad=True)
    comparison = given.compare(FirstColumn(), torch.zeros(2, 1), fake, None, Moment(0, 1.0))
    assert given.generator_terms(comparison)["adversarial"].item() == -3.0
