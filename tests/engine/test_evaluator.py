from __future__ import annotations

import torch

from ganrun.games.base import Game
from ganrun.sampling.draws import generator_of


class Labelled(Game):
    """Returns its labels as images."""

    classes = 4
    device = torch.device("cpu")

    def sample(self, count, condition=None):
        return condition[:, None, None, None].float().expand(count, 1, 2, 2)


def test_every_class_gets_as_many_samples_whatever_the_batch_size():
    generate = generator_of(Labelled())
    batches = [generate(count) for count in (3, 3, 2)]
    labels = torch.cat([condition for _, condition in batches])
    assert labels.bincount().tolist() == [2, 2, 2, 2]
    assert all(torch.equal(images[:, 0, 0, 0], condition.float()) for images, condition in batches)


def test_an_unconditional_game_is_sampled_as_it_is():
    game = Labelled()
    game.classes = 0
    assert generator_of(game) == game.sample
