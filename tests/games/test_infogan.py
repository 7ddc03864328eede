import math

import pytest
import torch

from ganrun.core.types import Batch, Grid
from ganrun.games.infogan import InfoGAN
from ganrun.latents.coded import Coded
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks.infogan import Discriminator, Generator


def make(update="both", norm="batch", objective=None, categories=(3,), continuous=2, size=16):
    torch.manual_seed(0)
    latent = Coded(size=16, categories=categories, continuous=continuous)
    return InfoGAN(
        generator=Generator(latent_size=16, width=8, hidden=64, size=size, channels=3),
        discriminator=Discriminator(
            width=8,
            hidden=64,
            code_hidden=32,
            norm=norm,
            categories=categories,
            continuous=continuous,
            size=size,
            channels=3,
        ),
        latent=latent,
        objective=objective or Objective(NonSaturating(1.0, 0.0, 0.0), None, {}, {}, 1, None, {}),
        categorical_weight=1.0,
        continuous_weight=0.5,
        information_update=update,
    )


def coloured_squares(count=64, size=16):
    """Squares of one of three colours at random places, ``[count, 3, size, size]``."""
    images = -torch.ones(count, 3, size, size)
    side = size // 2
    for image, colour, x, y in zip(
        images, torch.randint(3, (count,)), *torch.randint(size - side, (2, count)), strict=True
    ):
        image[colour, y : y + side, x : x + side] = 1.0
    return Batch((images,))


@pytest.mark.parametrize("update", ["both", "generator"])
def test_ownership_is_a_partition(update, assert_partition):
    assert_partition(make(update))


@pytest.mark.parametrize(
    ("update", "terms", "code_head_moves"),
    [("both", {"real", "fake", "categorical", "continuous"}, True), ("generator", {"real", "fake"}, False)],
)
def test_whose_move_trains_the_code_head(update, terms, code_head_moves):
    game = make(update)
    before = {name: value.clone() for name, value in game.discriminator.code_head.named_parameters()}
    moves = game.play(iter(coloured_squares, None))
    move = next(moves)
    assert set(move) == {"discriminator"}
    assert set(move["discriminator"]) == terms
    parameters = [p for module in game.players()["discriminator"] for p in module.parameters()]
    sum(move["discriminator"].values()).backward(inputs=parameters)
    torch.optim.SGD(parameters, lr=0.1).step()
    moved = [not torch.equal(value, before[name]) for name, value in game.discriminator.code_head.named_parameters()]
    assert any(moved) is code_head_moves
    assert all(parameter.grad is None for parameter in game.generator.parameters())
    assert set(next(moves)["generator"]) == {"adversarial", "categorical", "continuous"}


def test_information_terms_are_weighted_and_the_bound_is_reported():
    game = make(categories=(3,), continuous=2)
    torch.nn.init.zeros_(game.discriminator.code_head[-1].weight)  # logits 0, means 0
    terms = game.generator_terms(coloured_squares(count=512))
    assert terms["categorical"].item() == pytest.approx(math.log(3), abs=1e-5)
    assert terms["continuous"].item() == pytest.approx(0.5 * (1 / 3 + math.log(2 * math.pi)), rel=0.02)
    logged = game.statistics.flush()
    assert logged["information/categorical"] == pytest.approx(0.0, abs=1e-5)
    assert logged["information/continuous"] == pytest.approx(1 / 3, rel=0.1)


def test_no_information_term_without_such_a_code():
    terms = make(categories=(), continuous=1).generator_terms(coloured_squares(count=8))
    assert set(terms) == {"adversarial", "continuous"}


def test_a_discriminator_without_code_head_is_refused():
    game = make()
    with pytest.raises(ValueError, match="code_head"):
        InfoGAN(game.generator, torch.nn.Linear(1, 1), game.latent, game.objective, 1.0, 1.0, "both")


def test_plays_with_a_gradient_penalty(play):
    objective = Objective(
        Wasserstein(), None, {"gradient_penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")}, {}, 2, None, {}
    )
    game = make(norm="none", objective=objective)
    play(game, lambda: coloured_squares(count=8), range(2))
    assert all(parameter.isfinite().all() for parameter in game.parameters())


def test_pictures_show_every_code():
    pictures = make().pictures(coloured_squares(count=4), count=25)
    assert {name: (len(p.images), p.columns) for name, p in pictures.items() if isinstance(p, Grid)} == {
        "generated": (25, 5),
        "categorical_1": (15, 3),
        "continuous_1": (50, 10),
        "continuous_2": (50, 10),
    }


@pytest.mark.parametrize("update", ["both", "generator"])
def test_the_codes_become_readable(update, play):
    game = make(update)
    play(game, coloured_squares, range(120))
    game.statistics.flush()
    terms = game.generator_terms(coloured_squares(count=256))
    assert math.log(3) - terms["categorical"].item() > 0.7 * math.log(3)


def test_codes_behind_latents_are_told_and_there_is_no_way_between_them():
    game = make().eval()
    space = game.latent_space()
    assert space.path is None
    z = space.draw(6)
    assert torch.equal(space.codes(z)[:, 0], z[:, game.latent.noise : game.latent.noise + 3].argmax(1))
    assert torch.equal(space.decode(z), game.generator(z))
    assert make(categories=(), continuous=2).latent_space() is None
