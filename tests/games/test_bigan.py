"""BiGAN: pairs, who learns what from them, and that encoder and generator come to undo each other."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from ganrun.core.types import Batch, Grid, Scatter
from ganrun.games.bigan import BiGAN
from ganrun.latents.normal import Normal
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.r1 import R1
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks import bigan


def objective_of(loss=None, terms=None, critic_steps=1):
    return Objective(loss or NonSaturating(1.0, 0.0, 0.0), None, terms or {}, {}, critic_steps, None, {})


def make(objective=None, shape=(2,), latent=2, width=8, norm="none", output="linear", update="alternating", **changes):
    torch.manual_seed(0)
    common = {"conditional": False, "classes": 0} | changes
    stochastic = common.pop("stochastic", False)
    networks = {"widths": [width, width], "norm": norm, "init": "default", "shape": shape} | common
    return BiGAN(
        generator=bigan.Generator(latent, output=output, **networks),
        encoder=bigan.Encoder(latent, stochastic=stochastic, **networks),
        discriminator=bigan.Discriminator(latent, spectral=False, **networks),
        latent=Normal(latent),
        objective=objective or objective_of(),
        stochastic=stochastic,
        update=update,
        **common,
    )


def points(count=64):
    """A correlated normal distribution in the plane."""
    return Batch((torch.randn(count, 2) @ torch.tensor([[1.0, 0.5], [0.0, 0.5]]) + torch.tensor([1.0, -1.0]),))


def moves_of(game, batch):
    torch.manual_seed(5)
    return list(game.play(iter([batch] * 9)))


def test_generator_and_encoder_are_one_player(assert_partition):
    game = make()
    assert_partition(game)
    assert game.players() == {"discriminator": [game.discriminator], "generator": [game.generator, game.encoder]}


def test_the_moves_by_hand():
    game, batch = make(), points()
    discriminating, generating = moves_of(game, batch)
    torch.manual_seed(5)
    for move, player in ((discriminating, "discriminator"), (generating, "generator")):
        z = torch.randn(64, 2)
        real = game.discriminator(torch.cat([batch.real, game.encoder(batch.real)], 1)).score
        fake = game.discriminator(torch.cat([game.generator(z), z], 1)).score
        expected = {
            "discriminator": {"real": softplus(-real).mean(), "fake": softplus(fake).mean()},
            "generator": {"adversarial": softplus(-fake).mean(), "encoder": softplus(real).mean()},
        }[player]
        assert set(move[player]) == set(expected)
        for name, value in expected.items():
            torch.testing.assert_close(move[player][name], value)


@pytest.mark.parametrize("loss", [NonSaturating(1.0, 0.0, 0.0), Wasserstein(), RelativisticPairs("paired")])
def test_both_learn_from_the_generators_move_and_neither_from_the_discriminators(loss):
    game = make(objective_of(loss))
    discriminating, generating = moves_of(game, points())
    assert all(not term.requires_grad for term in _gradients_of(discriminating["discriminator"], game.encoder))
    for network in (game.generator, game.encoder):
        gradients = torch.autograd.grad(
            torch.stack(list(generating["generator"].values())).sum(), list(network.parameters()), retain_graph=True
        )
        assert all(gradient.abs().max() > 0 for gradient in gradients)


def _gradients_of(terms, network):
    loss = torch.stack(list(terms.values())).sum()
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True, retain_graph=True)
    return [gradient for gradient in found if gradient is not None]


def test_penalties_see_both_parts_of_a_pair():
    penalty = GradientPenalty(1.0, 0.0, "two", "lines", "sample")
    game = make(objective_of(Wasserstein(), {"penalty": penalty}))
    weight = torch.tensor([[0.3, -0.4, 1.2, 0.5]])  # two numbers of the sample, two of the latent
    game.discriminator.blocks = nn.ModuleList()
    game.discriminator.head = nn.Linear(4, 1)
    with torch.no_grad():
        game.discriminator.head.weight.copy_(weight)
    move, _ = moves_of(game, points())
    assert move["discriminator"]["penalty"].item() == pytest.approx(weight.square().sum().item())


def test_updates_one_after_the_other_or_together():
    objective = objective_of(critic_steps=3)
    assert [set(move) for move in moves_of(make(objective), points())] == [{"discriminator"}] * 3 + [{"generator"}]
    together = [set(move) for move in moves_of(make(objective, update="simultaneous"), points())]
    assert together == [{"discriminator"}] * 2 + [{"discriminator", "generator"}]


def test_measuring_changes_nothing():
    games = [make(norm="batch"), make(norm="batch")]
    games[1].report_reconstruction = lambda *_: None
    states, batch = [], points()
    for game in games:
        moves_of(game, batch)
        states.append((game.state_dict(), torch.rand(1), [module.training for module in game.modules()]))
    for name, value in states[0][0].items():
        assert torch.equal(value, states[1][0][name]), name
    assert torch.equal(states[0][1], states[1][1])
    assert states[0][2] == states[1][2]
    logged = games[0].statistics.flush()
    assert {"reconstruction/mse", "reconstruction/latent_mse"} <= set(logged)


def test_what_is_logged_at_equilibrium_is_the_loss_of_the_fakes():
    game = make()
    moves_of(game, points())
    logged = game.statistics.flush()
    assert logged["equilibrium/generator"] == pytest.approx(0.6931, abs=1e-4)
    assert logged["adversarial/generator"] < 1.0  # without the encoder's, which is as large


def test_pictures():
    game = make()
    pictures = game.pictures(points(), 16)
    assert set(pictures) == {"generated", "reconstructions"}
    assert all(isinstance(picture, Scatter) for picture in pictures.values())
    game = make(shape=(1, 4, 4), output="tanh")
    real = torch.rand(10, 1, 4, 4)
    grid = game.pictures(Batch((real,)), 9)["reconstructions"]
    assert isinstance(grid, Grid)
    assert grid.columns == 3
    rows = grid.images.unflatten(0, (-1, 3))
    torch.testing.assert_close(rows[::2].flatten(0, 1), real[:9])  # what does not fill a row is left out
    torch.testing.assert_close(rows[1::2].flatten(0, 1), game.reconstructions(real)[:9])


def test_a_stochastic_encoder_draws_in_training_only():
    game, batch = make(stochastic=True), points()
    real = batch.real
    torch.manual_seed(0)
    one, other = (game.pairs(batch, torch.randn(64, 2), real)[0][:, 2:] for _ in range(2))
    assert not torch.allclose(one, other)
    torch.testing.assert_close(game.infer(real, None), game.encoder(real)[:, :2])
    torch.testing.assert_close(game.reconstructions(real), game.reconstructions(real))


def test_labels_go_to_all_three():
    game = make(conditional=True, classes=3)
    real = points(1).real.expand(3, -1)
    together = game.reconstructions(real, torch.arange(3))
    assert not torch.allclose(together[0], together[1])
    one, other = (moves_of(game, Batch((real,), torch.full((3,), label)))[0]["discriminator"] for label in (0, 1))
    assert one["real"] != other["real"]


def test_a_linear_encoder_comes_to_invert_a_linear_generator(play):
    game = make(objective_of(terms={"r1": R1(0.2)}), width=32)
    game.generator.layers, game.encoder.layers = nn.Linear(2, 2), nn.Linear(2, 2)

    def errors():
        torch.manual_seed(99)
        z, real = torch.randn(500, 2), points(500).real
        with torch.no_grad():
            recovered = game.infer(game.generator(z), None)
        return [(a - b).square().mean().item() for a, b in ((recovered, z), (game.reconstructions(real), real))]

    before = errors()
    play(game, lambda: points(128), range(300), lr=5e-3)
    after = errors()
    assert after[0] < 0.3 * before[0]
    assert after[1] < 0.3 * before[1]


@pytest.mark.slow
def test_reconstructions_of_digits_improve(play):
    from ganrun.data.digits import Digits

    data = Digits(8, "bicubic", None, 0, False)
    data.place("cpu")
    game = make(shape=(1, 8, 8), latent=8, width=128, norm="batch", output="tanh")
    real = data.examples(200).real
    play(game, lambda: data.fetch((torch.randint(1797, (128,)),)), range(1500), lr=1e-3)
    game.eval()
    torch.manual_seed(1)
    error, of_random = (
        (images - real).square().mean().item() for images in (game.reconstructions(real), game.sample(len(real)))
    )
    assert error < 0.85 * of_random
