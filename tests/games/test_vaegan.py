"""VAE-GAN: who gets which gradient, what is compared, and that it learns."""

import pytest
import torch
from torch import nn

from ganrun.augment.base import Augment
from ganrun.core.errors import RunError
from ganrun.core.types import Batch, DiscriminatorOutput
from ganrun.data.digits import Digits
from ganrun.games.vaegan import VAEGAN
from ganrun.latents.normal import Normal
from ganrun.latents.posterior import Posterior
from ganrun.losses.c_transform import CTransform
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks import vaegan

PLAIN = {"conditional": False, "classes": 0}


def objective_of(loss=None, terms=None, critic_steps=1, augment=None):
    loss = loss or NonSaturating(1.0, 0.0, 0.0)
    return Objective(loss, None, terms or {}, {}, critic_steps, None, augment or {})


def make(objective=None, gamma=0.5, norm="batch", size=8, latent=3, width=4, layer=2, **changes):
    torch.manual_seed(0)
    common = {"norm": norm, "init": "default", "size": size, "channels": 1} | PLAIN | changes
    return VAEGAN(
        generator=vaegan.Generator(latent, width, [width, width], **common),
        encoder=vaegan.Encoder(latent, [width, width], 2 * width, **common),
        discriminator=vaegan.Discriminator(width, [width, width], 2 * width, spectral=False, **common),
        latent=Normal(latent),
        objective=objective or objective_of(),
        conditional=common["conditional"],
        feature_layer=layer,
        reconstruction_weight=gamma,
        classes=common["classes"],
    )


def batch_of(count=6, size=8):
    return Batch((torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1,))


def move_of(game, batch=None):
    torch.manual_seed(5)
    (move,) = game.play(iter([batch or batch_of()] * 9))
    return move


def gradients(terms, modules):
    parameters = [parameter for module in modules for parameter in module.parameters()]
    loss = terms if isinstance(terms, torch.Tensor) else torch.stack(list(terms.values())).sum()
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


class Scaled(NonSaturating):
    """The non-saturating loss times a constant."""

    def __init__(self, factor):
        super().__init__(1.0, 0.0, 0.0)
        self.factor = factor

    def discriminator_real(self, score):
        return self.factor * super().discriminator_real(score)

    def discriminator_fake(self, score):
        return self.factor * super().discriminator_fake(score)

    def generator_fake(self, score):
        return self.factor * super().generator_fake(score)


def test_ownership_is_a_partition(assert_partition):
    assert_partition(make())


def test_one_yield_for_three_players():
    assert {player: set(terms) for player, terms in move_of(make()).items()} == {
        "encoder": {"prior", "reconstruction"},
        "generator": {"adversarial", "reconstruction"},
        "discriminator": {"real", "fake"},
    }


def test_the_encoder_gets_no_gradient_of_the_gan():
    games = [make(objective_of(Scaled(factor))) for factor in (1.0, 1000.0)]
    small, large = (gradients(move_of(game)["encoder"], [game.encoder]) for game in games)
    for one, other in zip(small, large, strict=True):
        torch.testing.assert_close(one, other)
    assert any(gradient.abs().max() > 0 for gradient in small)


def test_the_discriminator_gets_no_gradient_of_the_reconstruction():
    game = make(norm="none")
    move = move_of(game)
    torch.manual_seed(5)
    posterior = Posterior.read(game.encoder(batch_of().real))
    fakes = game.generator(torch.cat([posterior.draw(), game.latent(6, game.device)])).detach()
    real = torch.cat([batch_of().real] * 2)
    alone = game.objective.discriminator_terms(game.compare(real, fakes))
    both = (gradients(terms, [game.discriminator]) for terms in (move["discriminator"], alone))
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other)
    assert any(g.abs().max() > 0 for g in gradients(move["encoder"]["reconstruction"], [game.discriminator]))


def test_the_decoder_weighs_the_reconstruction_by_gamma():
    moves = {gamma: (game := make(gamma=gamma), move_of(game)) for gamma in (0.0, 0.5, 2.0)}
    of = {gamma: gradients(move["generator"], [game.generator]) for gamma, (game, move) in moves.items()}
    game, move = moves[0.5]
    error = gradients(move["encoder"]["reconstruction"], [game.generator])
    for none, half, double, plain in zip(of[0.0], of[0.5], of[2.0], error, strict=True):
        torch.testing.assert_close(half - none, 0.5 * plain, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(double - none, 2.0 * plain, rtol=1e-3, atol=1e-5)


def test_the_entries_are_what_the_paper_says_by_hand():
    game = make(norm="none", gamma=0.5)
    move = move_of(game)
    torch.manual_seed(5)
    x = batch_of().real
    mean, log_variance = game.encoder(x).chunk(2, 1)
    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    reconstructed, sampled = game.generator(z), game.generator(torch.randn(6, 3))
    outputs = [game.discriminator(images) for images in (x, reconstructed, sampled)]
    error = (outputs[1].features[2] - outputs[0].features[2]).square().sum((1, 2, 3)).mean() / 2
    prior = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
    real, recon, prior_sample = (output.score for output in outputs)
    softplus = nn.functional.softplus
    expected = {
        "encoder": {"prior": prior, "reconstruction": error},
        "generator": {
            "adversarial": (softplus(-recon).mean() + softplus(-prior_sample).mean()) / 2,
            "reconstruction": 0.5 * error,
        },
        "discriminator": {
            "real": softplus(-real).mean(),
            "fake": (softplus(recon).mean() + softplus(prior_sample).mean()) / 2,
        },
    }
    for player, terms in expected.items():
        for name, value in terms.items():
            torch.testing.assert_close(move[player][name], value)


def test_the_features_of_the_reals_are_a_constant():
    game = make(norm="none")
    batch = Batch((batch_of().real.requires_grad_(),))
    with torch.no_grad():
        fakes = game.generator(torch.randn(12, 3))
    error = game.feature_error(batch, game.before_discriminator(batch, fakes.requires_grad_()))
    (gradient,) = torch.autograd.grad(error, batch.real, allow_unused=True)
    assert gradient is None or not gradient.any()  # one pass serves reals and fakes, and then it is 0


class Erase(Augment):
    """Shows the discriminator nothing."""

    def forward(self, samples, moment):
        return samples * 0


def test_augmentations_do_not_blind_the_reconstruction():
    plain, erased = make(norm="none"), make(objective_of(augment={"erase": Erase()}), norm="none")
    one, other = move_of(plain)["encoder"]["reconstruction"], move_of(erased)["encoder"]["reconstruction"]
    torch.testing.assert_close(one, other)
    assert move_of(erased)["discriminator"]["real"] != move_of(plain)["discriminator"]["real"]


def test_a_loss_that_never_asks_for_the_fakes_scores_leaves_the_reconstruction_its_gradient():
    move = move_of(game := make(objective_of(CTransform("euclidean", 0.0)), norm="none"))
    assert any(g.abs().max() > 0 for g in gradients(move["encoder"]["reconstruction"], [game.encoder]))
    assert "score/fake" in game.statistics.flush()


@pytest.mark.parametrize("layer", [4, -1, 17])
def test_a_layer_that_is_not_there(layer):
    with pytest.raises(RunError, match=r"Discriminator hands out 4\. Set model\.feature_layer below 4"):
        move_of(make(layer=layer))


def test_a_discriminator_without_features():
    class Mute(nn.Module):
        def forward(self, samples, condition=None):
            return DiscriminatorOutput(scores=(samples.flatten(1).sum(1),))

    game = make()
    game.discriminator = Mute()
    with pytest.raises(RunError, match="Mute hands out 0"):
        move_of(game)


@pytest.mark.parametrize(
    "objective",
    [
        objective_of(RelativisticPairs("paired")),
        objective_of(Wasserstein(), {"penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")}, critic_steps=3),
    ],
)
def test_other_objectives(objective, play):
    game = make(objective, norm="none")
    torch.manual_seed(0)
    moves = list(game.play(iter([batch_of()] * 9)))
    assert len(moves) == objective.critic_steps
    assert all(set(move) == {"discriminator"} for move in moves[:-1])
    play(game, batch_of, range(2))
    assert all(torch.isfinite(parameter).all() for parameter in game.parameters())


def test_labels_go_to_all_three():
    game = make(conditional=True, classes=3, norm="none")
    images = batch_of().real[:1].expand(3, -1, -1, -1)
    together = game.reconstructions(images, torch.arange(3))
    assert not torch.allclose(together[0], together[1])
    torch.manual_seed(5)
    one, other = (
        move_of(game, Batch(batch_of().domains, torch.full((6,), label)))["discriminator"]["real"] for label in (0, 1)
    )
    assert one != other


@pytest.mark.slow
def test_reconstructions_of_digits_improve(play):
    data = Digits(16, "bicubic", None, 0, False)
    data.place("cpu")
    game = make(gamma=0.1, size=16, latent=16, width=16)
    real = data.examples(200).real
    spread = real.var(0, correction=0).mean().item()

    def error():
        game.eval()
        value = nn.functional.mse_loss(game.reconstructions(real), real).item()
        game.train()
        return value

    def draw():
        return data.fetch((torch.randint(1797, (64,)),))

    before = error()
    play(game, draw, range(300), lr=2e-3)
    assert before > spread
    assert error() < 0.75 * spread
    assert 1 < move_of(game, draw())["encoder"]["prior"].item() < 100
