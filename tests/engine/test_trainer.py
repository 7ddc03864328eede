"""The trainer: exact resume with mutations that must break it, moves, accumulation, ownership, averages."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from toys import OPTIMIZER, Duel, Numbers, Pyramid, make_game, make_trainer, player_settings, same

from ganrun.core.errors import ConfigError
from ganrun.core.schedules import linear
from ganrun.engine.player import Player, averaged, make_players
from ganrun.engine.settings import AverageSettings
from ganrun.engine.stream import Stream
from ganrun.engine.trainer import Stopped
from ganrun.games.base import Game


def reload(state):
    """Through a file and the restricted loader, as a real resume."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def train(kind=Duel, steps=12, checkpoint=None, **changes):
    trainer = make_trainer(steps, checkpoint=checkpoint, **changes)
    trainer.fit(make_game(kind))
    return trainer.state_dict()


class StopAt:
    def __init__(self, step):
        self.step = step

    def begin(self, trainer):
        pass

    finish = begin

    def after_step(self, trainer):
        trainer.stop_requested = trainer.step == self.step


def interrupted(kind, step, steps=12):
    trainer = make_trainer(steps, helpers=[StopAt(step)])
    with pytest.raises(Stopped):
        trainer.fit(make_game(kind))
    return reload(trainer.state_dict())


@pytest.mark.parametrize(("kind", "step"), [(Duel, 1), (Duel, 7), *((Pyramid, s) for s in (1, 7, 12, 13, 24, 31))])
def test_resume_is_bit_identical(kind, step):
    steps = 12
    resumed = train(kind, steps, checkpoint=interrupted(kind, step, steps))
    assert same(resumed, train(kind, steps))


def drop_optimizer(state):
    state["players"]["discriminator"]["optimizer"]["state"] = {}


def drop_position(state):
    state["position"] = 0


def drop_memory(state):
    state["game"]["memory"].zero_()


def drop_average(state):
    state["players"]["generator"]["average"] = [t.clone() for t in state["players"]["discriminator"]["average"]][:0]


def drop_step(state):
    state["step"] -= 1


@pytest.mark.parametrize("mutate", [drop_optimizer, drop_position, drop_memory, drop_average, drop_step])
def test_resume_needs_every_part(mutate):
    """Each part of a checkpoint matters: without it the result differs, or it cannot be loaded at all."""
    state = interrupted(Duel, 7)
    mutate(state)
    try:
        resumed = train(checkpoint=state)
    except ValueError:
        return
    resumed["step"] = 12
    assert not same(resumed, train())


def test_extending_goes_on_from_the_end():
    longer = train(steps=20, checkpoint=reload(train(steps=12)))
    assert same(longer, train(steps=20))


def test_helpers_cannot_change_training():
    class Noisy:
        def begin(self, trainer):
            torch.rand(3)

        finish = begin

        def after_step(self, trainer):
            with trainer.sampling("noise"):
                trainer.game.sample(5)
            torch.rand(3)

    trainer = make_trainer(helpers=[Noisy()])
    trainer.fit(make_game())
    assert same(trainer.state_dict(), train())


def test_weights_change_only_at_a_yield_and_only_the_movers():
    seen = []

    class Watched(Duel):
        def play(self, stream):
            for move in super().play(stream):
                before = copy.deepcopy(self.state_dict())
                yield move
                seen.append((set(move), {k for k, v in self.state_dict().items() if not torch.equal(v, before[k])}))

    trainer = make_trainer(steps=1)
    trainer.fit(make_game(Watched))
    assert [players for players, _ in seen] == [{"discriminator"}, {"discriminator"}, {"generator"}]
    for players, changed in seen:
        owner = "critic" if "discriminator" in players else "generator"
        assert changed
        assert all(name.startswith(owner) for name in changed)
    assert all(p.grad is None for p in trainer.game.parameters())


def test_simultaneous_moves_share_one_graph():
    """Two entries of one yield see the same weights; both are updated."""

    class Simultaneous(Duel):
        def play(self, stream):
            real = next(stream).real
            fake = self.generator(torch.randn_like(real))
            score = self.critic(fake).score.mean()
            yield {"discriminator": {"fake": score}, "generator": {"adversarial": -score}}

    before = {k: v.clone() for k, v in make_game(Simultaneous).state_dict().items()}
    after = train(Simultaneous, steps=1)["game"]
    assert not torch.equal(before["critic.head.weight"], after["critic.head.weight"])
    assert not torch.equal(before["generator.0.weight"], after["generator.0.weight"])


def test_accumulation_equals_one_large_batch():
    """Without batch coupling, and with noise that does not depend on the batch."""

    class Regression(Game):
        def __init__(self):
            super().__init__()
            self.generator = nn.Linear(2, 2)

        def players(self):
            return {"generator": [self.generator]}

        def play(self, stream):
            real = next(stream).real.abs()
            yield {"generator": {"error": (self.generator(real) - 1).square().mean()}}

    whole = train(Regression, steps=3, batch_size=8)["game"]
    parts = train(Regression, steps=3, batch_size=8, accumulate=4)["game"]
    torch.testing.assert_close(whole, parts)


def test_ownership_is_a_partition():
    class Orphan(Duel):
        def players(self):
            return {"discriminator": [self.critic.trunk], "generator": [self.generator]}

    class Shared(Duel):
        def players(self):
            return {"discriminator": [self.critic], "generator": [self.generator, self.critic.head]}

    with pytest.raises(ValueError, match=r"critic.head.weight \(no owner\)"):
        train(Orphan)
    with pytest.raises(ValueError, match=r"critic.head.weight \(discriminator, generator\)"):
        train(Shared)


def test_player_without_settings_is_named():
    with pytest.raises(ConfigError, match=r"optimizer\.generator.*the configuration has not"):
        make_players(Duel(), {"discriminator": OPTIMIZER}, {"discriminator": player_settings()})


def player_of(module, **changes):
    return Player([module], OPTIMIZER, player_settings(**changes))


def test_learning_rate_follows_the_schedule():
    module = nn.Linear(2, 1)
    player = player_of(module, schedule=linear(0.5, 1.0, 0.0))
    rates = []
    for progress in (0.0, 0.5, 0.75, 1.0):
        module(torch.ones(1, 2)).sum().backward()
        player.begin_step(progress, 8, 8)
        player.update()
        rates.append(player.learning_rate)
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0])


def test_gradients_are_clipped_to_a_norm_and_reported_unclipped():
    module = nn.Linear(2, 1, bias=False)
    player = Player([module], lambda p: torch.optim.SGD(p, lr=1.0), player_settings(max_grad_norm=1.0))
    before = module.weight.detach().clone()
    (module(torch.tensor([[3.0, 4.0]])).sum()).backward()
    assert player.update().item() == pytest.approx(5.0)
    assert (before - module.weight).flatten().tolist() == pytest.approx([0.6, 0.8], rel=1e-4)


def test_weight_clip_spares_normalisation_layers():
    module = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
    player = player_of(module, weight_clip=0.01)
    module(torch.randn(8, 2)).sum().backward()
    player.update()
    assert module[0].weight.abs().max() <= 0.01
    assert module[1].weight.min() > 0.5


def test_average_of_a_constant_target():
    """After n updates towards a constant, 1 - β^n of the way: 0.651322 for β = 0.9, n = 10."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    halflife = 8 * -0.6931471805599453 / torch.log(torch.tensor(0.9)).item()
    player = player_of(module, ema=AverageSettings(halflife, 1.0))
    nn.init.ones_(module.weight)
    player.average.begin_step(10**9, 8)
    for _ in range(10):
        player.average.update()
    assert player.average.tensors[0].item() == pytest.approx(0.651322, abs=1e-5)
    with averaged([player]):
        assert module.weight.item() == pytest.approx(0.651322, abs=1e-5)
    assert module.weight.item() == 1.0


@pytest.mark.parametrize(
    ("halflife_images", "batch", "beta"),
    [(10e3, 64, 0.995573683188), (5e6, 512, 0.999929024248)],  # StyleGAN2-ADA; R3GAN
)
def test_half_lives_in_images_are_decays_per_batch(halflife_images, batch, beta):
    module = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(module.weight)
    player = player_of(module, ema=AverageSettings(halflife_images, 1.0))
    nn.init.ones_(module.weight)
    player.average.begin_step(10**9, batch)
    player.average.update()
    assert 1 - player.average.tensors[0].item() == pytest.approx(beta, abs=1e-11)


def test_average_copies_integer_buffers():
    module = nn.BatchNorm1d(2)
    player = player_of(module)
    module(torch.randn(4, 2))
    player.average.update()
    counts = [t for t in player.average.tensors if not t.is_floating_point()]
    assert [count.item() for count in counts] == [1]


def test_stream_visits_everything_once_per_epoch_and_ranks_share_the_work():
    streams = [Stream(Numbers(50), 5, seed=3, rank=rank, world_size=2) for rank in (0, 1)]
    first_epoch = [streams[rank].indices(position)[0] for position in range(5) for rank in (0, 1)]
    assert sorted(torch.cat(first_epoch).tolist()) == list(range(50))
    second = torch.cat([streams[0].indices(position)[0] for position in range(5, 10)])
    assert not torch.equal(second, torch.cat(first_epoch[::2]))


def test_stream_crosses_epochs_and_shuffles_domains_apart():
    stream = Stream(Numbers(10, domains=2), 4, seed=0)
    taken = [stream.indices(position) for position in range(5)]
    assert sorted(torch.cat([a for a, _ in taken]).tolist()) == sorted([*range(10), *range(10)])
    assert len(torch.cat([b for _, b in taken])[:11].unique()) == 11
    small = Stream(Numbers(3), 8, seed=0)
    assert len(next(small)) == 8
