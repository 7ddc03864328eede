"""Standing statistics: closed forms, nothing left behind, the same ones whoever samples."""

from __future__ import annotations

import torch
from torch import nn
from toys import Duel, make_game, make_trainer, same, settings

from ganrun.engine import standing
from ganrun.engine.seeding import fixed_seed
from ganrun.games.base import Game


class Normed(Game):
    """Two batch norms in a row on a recorded input that depends on the class; a third one that no sample passes."""

    classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.idle = nn.BatchNorm1d(2), nn.BatchNorm1d(2, momentum=0.3), nn.BatchNorm1d(2)
        self.first.weight.data.copy_(torch.tensor([2.0, -0.5]))
        self.seen: list[torch.Tensor] = []
        self.labels: list[int] = []

    def sample(self, count, condition=None):
        hidden = torch.randn(count, 2) * 3 + condition[:, None]
        self.seen.append(hidden)
        self.labels += condition.tolist()
        return self.second(self.first(hidden))


def standing_settings(batches=4, size=7):
    return settings(standing_batches=batches, standing_batch_size=size)


def test_statistics_are_means_over_batches_of_generated_samples():
    game = Normed().eval()
    game.first.running_mean.fill_(100.0)
    standing.accumulate(game, standing_settings(), seed=5)
    batches = torch.stack(game.seen)
    assert batches.shape == (4, 7, 2)
    torch.testing.assert_close(game.first.running_mean, batches.mean((0, 1)))
    torch.testing.assert_close(game.first.running_var, batches.var(1).mean(0))
    deviation = batches.var(1, correction=0, keepdim=True)
    normed = (batches - batches.mean(1, keepdim=True)) / (deviation + 1e-5).sqrt() * game.first.weight
    torch.testing.assert_close(game.second.running_mean, normed.mean((0, 1)), atol=1e-6, rtol=0)
    torch.testing.assert_close(game.second.running_var, normed.var(1).mean(0))
    assert not any(module.training for module in game.modules())
    assert (game.first.momentum, game.second.momentum) == (0.1, 0.3)


def test_classes_come_in_turn_over_all_batches():
    game = Normed().eval()
    standing.accumulate(game, standing_settings(3, 2), seed=0)
    assert game.labels == [0, 1, 2, 0, 1, 2]


def test_layers_that_no_sample_passes_keep_their_averages():
    game = Normed().eval()
    game.idle.running_mean.fill_(7.0)
    standing.accumulate(game, standing_settings(), seed=0)
    assert torch.equal(game.idle.running_mean, torch.full((2,), 7.0))


def test_outside_the_block_everything_is_as_it_was():
    game = Normed().eval()
    game.first.num_batches_tracked.fill_(9)
    before = {name: tensor.clone() for name, tensor in game.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.randn(2)
    torch.manual_seed(3)
    with standing.statistics(game, standing_settings(), seed=0):
        assert not torch.equal(game.first.running_mean, before["first.running_mean"])
    assert torch.equal(torch.randn(2), expected)  # the surrounding randomness, too
    assert same(game.state_dict(), before)


def test_the_same_seed_gives_the_same_statistics_whatever_came_before():
    found = []
    for seed, start in ((1, 0.0), (1, 50.0), (2, 0.0)):
        game = Normed().eval()
        game.first.running_mean.fill_(start)
        torch.manual_seed(int(start))
        standing.accumulate(game, standing_settings(), seed)
        found.append(game.first.running_mean)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_without_batches_running_averages_serve():
    game = Normed().eval()
    with standing.statistics(game, standing_settings(0), seed=0):
        assert not game.seen


class Samples:
    """Draws samples after some steps, and looks at what they were made with."""

    def __init__(self, every=1):
        self.every = every
        self.found = []

    def begin(self, trainer):
        pass

    finish = begin

    def after_step(self, trainer):
        if trainer.step % self.every == 0:
            with trainer.sampling("pictures"):
                self.found.append((trainer.game.sample(6), trainer.game.generator[1].running_mean.clone()))


def trained(batches, helpers=()):
    trainer = make_trainer(6, helpers=list(helpers), standing_batches=batches, standing_batch_size=16)
    trainer.fit(make_game(Duel))
    return trainer


def test_training_does_not_see_them():
    plain = trained(0).state_dict()
    assert same(trained(3, [Samples()]).state_dict(), plain)
    assert same(trained(3, [Samples(every=2)]).state_dict(), plain)


def test_they_are_those_of_the_averaged_weights():
    samples, running = Samples(), Samples()
    trainer = trained(3, [samples])
    trained(0, [running])
    assert not torch.equal(samples.found[-1][0], running.found[-1][0])
    generator = trainer.game.generator
    first = generator[0]
    weight, bias = trainer.players["generator"].average.tensors[:2]  # of the first layer
    with fixed_seed("standing statistics", trainer.seed):
        inputs = torch.cat([torch.randn(16, 2) for _ in range(3)])
    assert not torch.equal(weight, first.weight)
    torch.testing.assert_close(samples.found[-1][1], (inputs @ weight.T + bias).mean(0))
