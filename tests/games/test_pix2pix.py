import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from ganrun.core.tensors import paint
from ganrun.core.types import Batch, DiscriminatorOutput
from ganrun.games.cyclegan import CycleGAN
from ganrun.games.pix2pix import Pix2Pix
from ganrun.losses.hinge import Hinge
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.relativistic import RelativisticPairs
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks import patchgan, unet

SHAPE = (3, 16, 16)
PALETTE = (("ground", 0, 0, 0), ("disc", 255, 0, 0), ("bar", 0, 0, 255))


def objective_of(loss=None, terms=None, critic_steps=1):
    return Objective(loss or NonSaturating(1.0, 0.0, 0.0), None, terms or {}, {}, critic_steps, None, {})


def make(objective=None, planes=3, palette=(), dropout=1, l1_weight=100.0, norm="none", width=8):
    torch.manual_seed(0)
    return Pix2Pix(
        generator=unet.Generator(width, None, "instance", dropout, True, planes, SHAPE),
        discriminator=patchgan.ConditionalDiscriminator(width, 1, norm, False, planes, SHAPE),
        objective=objective or objective_of(),
        discriminator_factor=0.5,
        l1_weight=l1_weight,
        palette=palette,
    )


def batch_of(count=4, maps=False):
    """Coloured squares, and as source their outlines in white or their label maps."""
    labels = torch.zeros(count, 16, 16, dtype=torch.long)
    images = torch.full((count, *SHAPE), -0.8)
    for image, labelled, x, y, label in zip(
        images, labels, *torch.randint(8, (2, count)), torch.randint(1, 3, (count,)), strict=True
    ):
        labelled[y : y + 8, x : x + 8] = label
        image[(label - 1) * 2, y : y + 8, x : x + 8] = 1.0
    return Batch((images,), labels if maps else paint(labels, PALETTE))


def test_ownership_is_a_partition(assert_partition):
    assert_partition(make())


def test_the_discriminator_moves_first_and_every_term_is_named():
    moves = list(make(objective_of(critic_steps=2)).play(iter(batch_of, None)))
    assert [{player: set(terms) for player, terms in move.items()} for move in moves] == [
        {"discriminator": {"real", "fake"}},
        {"discriminator": {"real", "fake"}},
        {"generator": {"adversarial", "l1"}},
    ]


def test_terms_by_hand():
    game = make(dropout=0)
    torch.manual_seed(1)
    batch = batch_of()
    first, second = game.play(iter([batch]))  # no weights change in between
    fake = game.generator(batch.condition)
    real_score = game.discriminator(batch.real, batch.condition).score
    fake_score = game.discriminator(fake, batch.condition).score
    torch.testing.assert_close(first["discriminator"]["real"], 0.5 * softplus(-real_score).mean())
    torch.testing.assert_close(first["discriminator"]["fake"], 0.5 * softplus(fake_score).mean())
    torch.testing.assert_close(second["generator"]["adversarial"], softplus(-fake_score).mean())
    torch.testing.assert_close(second["generator"]["l1"], 100 * (fake - batch.real).abs().mean())


def test_gradients_reach_the_mover_only():
    game = make()
    moves = game.play(iter(batch_of, None))
    sum(next(moves)["discriminator"].values()).backward()
    assert all(p.grad is None for p in game.generator.parameters())
    assert all(p.grad is not None for p in game.discriminator.parameters())


@pytest.mark.parametrize(
    "objective",
    [
        objective_of(Hinge()),
        objective_of(LeastSquares(0.0, 1.0, 1.0)),
        objective_of(RelativisticPairs("paired")),
        objective_of(Wasserstein(), {"penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")}, critic_steps=2),
    ],
)
def test_other_objectives(objective, play):
    game = make(objective)
    play(game, batch_of, range(2))
    assert all(parameter.isfinite().all() for parameter in game.parameters())


def test_a_penalty_is_about_the_image_and_not_its_source():
    """Of a critic that is linear in both, it sees the slope in the image only."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = nn.Parameter(torch.tensor(3.0))

        def forward(self, images, condition):
            score = self.slope * images.flatten(1)[:, 0] + 100 * condition.flatten(1).sum(1)
            return DiscriminatorOutput(scores=(score,))

    batch = batch_of()
    comparison = objective_of().compare(Linear(), batch.real, -batch.real, batch.condition, make().moment)
    penalty = GradientPenalty(10.0, 1.0, "two", "lines", "sample")(comparison)
    assert penalty.item() == pytest.approx(10 * (3 - 1) ** 2)


def test_what_it_is_given():
    assert make().needs == "images"
    assert make(planes=3, palette=PALETTE).needs == "maps"


@pytest.mark.parametrize("maps", [False, True])
def test_pictures_are_rows_of_source_answer_and_truth(maps):
    game = make(palette=PALETTE if maps else (), dropout=0).eval()
    batch = batch_of(maps=maps)
    grid = game.pictures(batch, count=9)["generated"]
    assert (len(grid.images), grid.columns) == (9, 3)
    assert torch.equal(grid.images[3], paint(batch.condition, PALETTE)[1] if maps else batch.condition[1])
    torch.testing.assert_close(grid.images[4], game.sample(3, batch.condition[:3])[1])
    assert torch.equal(grid.images[5], batch.real[1])


@pytest.mark.parametrize("maps", [False, True])
def test_learns_to_colour_what_it_is_shown(play, maps):
    game = make(palette=PALETTE if maps else (), dropout=0, width=16)
    draw = lambda: batch_of(8, maps)  # noqa: E731

    def error():
        torch.manual_seed(99)
        batch = draw()
        return (game.sample(8, batch.condition) - batch.real).abs().mean().item()

    before = error()
    play(game, draw, range(60), lr=2e-3)
    assert before > 0.5
    assert error() < 0.1


def test_a_unet_serves_cyclegan():
    torch.manual_seed(0)
    game = CycleGAN(
        a_to_b=unet.Generator(4, None, "instance", 1, False, 0, SHAPE),
        b_to_a=unet.Generator(4, None, "instance", 1, False, 0, SHAPE),
        discriminator_a=patchgan.Discriminator(4, 1, "instance", False, SHAPE),
        discriminator_b=patchgan.Discriminator(4, 1, "instance", False, SHAPE),
        objective=objective_of(LeastSquares(0.0, 1.0, 1.0)),
        adversarial_weight=2.0,
        discriminator_factor=0.5,
        cycle_weight=10.0,
        identity_weight=0.5,
        pool_size=2,
        shape=SHAPE,
    )
    images = torch.rand(2, 2, *SHAPE)
    moves = list(game.play(iter([Batch((images[0], images[1]))])))
    assert all(torch.isfinite(term) for move in moves for terms in move.values() for term in terms.values())
