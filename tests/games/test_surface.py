"""The force on a fake is minus the gradient of the generator's loss, whatever the loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganrun.core.types import Batch, DiscriminatorOutput, Scatter, Surface
from ganrun.games.adversarial import AdversarialGame
from ganrun.games.surface import force
from ganrun.latents.normal import Normal
from ganrun.losses.base import AdversarialLoss, Term
from ganrun.losses.minimax import Minimax
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.losses.wasserstein import Wasserstein

SLOPE = torch.tensor([3.0, -4.0])
REAL = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.5, 0.0]])


class Plane(nn.Module):
    """``D(x) = w·x``."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(SLOPE.clone())

    def forward(self, samples, condition=None):
        return DiscriminatorOutput(scores=(samples @ self.weight,))


class Affine(nn.Linear):
    def forward(self, z, condition=None):
        return super().forward(z)


class Mean(AdversarialLoss):
    """A loss of the mean fake, as relativistic average losses are."""

    def generator_terms(self, comparison):
        mean = comparison.fake.mean(0)
        return {"adversarial": (comparison.fake * mean).sum(1).mean()}


class Remembering(Term):
    """Minus the distance to what it saw last."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, comparison):
        self.seen.copy_(comparison.fake.detach().mean(0))
        return (comparison.fake - 5).square().sum(1).mean()


def game(loss, **terms):
    torch.manual_seed(0)
    objective = Objective(loss, None, {}, terms, 1, None, {})
    return AdversarialGame(Affine(2, 2), Plane(), Normal(2), objective, False, 0)


def at(made, places, generated=None):
    points = Scatter(torch.zeros(40, 2) if generated is None else generated, REAL)
    return force(points, places, made.compare, made.objective)


PLACES = torch.tensor([[0.0, 0.0], [0.2, 0.1], [-1.0, 1.0]])


@pytest.mark.parametrize(
    ("loss", "factor"),
    [
        (Wasserstein(), torch.ones_like),
        (NonSaturating(1.0, 0.0, 0.0), lambda score: torch.sigmoid(-score)),
        (Minimax(1.0, 0.0, 0.0), lambda score: torch.sigmoid(score)),
    ],
    ids=["wasserstein", "nonsaturating", "minimax"],
)
def test_force_under_a_linear_discriminator(loss, factor):
    expected = factor(PLACES @ SLOPE)[:, None] * SLOPE
    assert torch.allclose(at(game(loss), PLACES), expected, atol=1e-5)


def test_losses_of_the_whole_batch_see_the_generated_points():
    centre = torch.tensor([7.0, -2.0])
    found = at(game(Mean()), PLACES, generated=centre.repeat(3000, 1))
    assert torch.allclose(found, -2 * centre.expand(3, 2), atol=0.02)  # half through the mean, half through itself


def test_further_terms_pull_too_and_forget_that_they_were_asked():
    made = game(Wasserstein(), remembering=Remembering())
    assert torch.allclose(at(made, PLACES), SLOPE - 2 * (PLACES - 5), atol=1e-4)
    assert made.objective.generator_extra["remembering"].seen.tolist() == [0, 0]


def test_a_loss_that_does_not_look_at_fakes_has_no_force():
    class Blind(AdversarialLoss):
        def generator_terms(self, comparison):
            return {"adversarial": comparison.discriminator.weight.sum()}

    assert at(game(Blind()), PLACES).abs().max() == 0


def test_picture_of_a_game_leaves_the_game_as_it_was():
    made = game(NonSaturating(1.0, 0.0, 0.0)).eval()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with torch.no_grad():
        pictures = made.pictures(Batch((REAL,)), 50)
    picture = pictures["surface"]
    assert isinstance(picture, Surface)
    assert torch.equal(picture.generated, pictures["generated"].generated)
    assert not picture.force.requires_grad
    assert not picture.score.requires_grad
    (left, right), (bottom, top) = picture.frame
    for row, column, corner in ((0, 0, (left, bottom)), (0, -1, (right, bottom)), (-1, 0, (left, top))):
        assert picture.score[row, column] == pytest.approx(float(torch.tensor(corner) @ SLOPE), abs=1e-4)
    assert (picture.places.amin(0) > torch.tensor([left, bottom])).all()
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    assert all(parameter.grad is None for parameter in made.parameters())


def test_samples_that_are_judged_together_have_no_surface():
    made = game(Wasserstein())
    made.discriminator.couples_samples = True
    assert set(made.pictures(Batch((REAL,)), 50)) == {"generated"}
