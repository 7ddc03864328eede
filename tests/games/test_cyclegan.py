import copy

import pytest
import torch
from torch import nn

from ganrun.core.types import Batch
from ganrun.games.cyclegan import CycleGAN
from ganrun.losses.lsgan import LeastSquares
from ganrun.losses.objective import Objective
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.terms.historical_averaging import HistoricalAveraging
from ganrun.losses.terms.lecam import LeCam
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks import ganilla, patchgan, resnet_translator

SHAPE = (3, 16, 16)


def lsgan():
    return Objective(LeastSquares(0.0, 1.0, 1.0), None, {}, {}, 1, None, {})


def residual(shape=SHAPE, blocks=1):
    return resnet_translator.Generator(8, blocks, 0.0, shape)


def concatenating(shape=SHAPE):
    """As small as the catalogue's, or for 16 pixels with a stage less."""
    widths = [8, 16, 32] if shape[1] < 32 else [8, 16, 16, 32]
    return ganilla.Generator(widths, [1] * len(widths), 16, shape)


def make(objective=None, pool_size=3, shape=SHAPE, translator=residual, seed=0, **weights):
    torch.manual_seed(seed)
    return CycleGAN(
        a_to_b=translator(shape),
        b_to_a=translator(shape),
        discriminator_a=patchgan.Discriminator(8, 2, "instance", False, shape),
        discriminator_b=patchgan.Discriminator(8, 2, "instance", False, shape),
        objective=objective or lsgan(),
        pool_size=pool_size,
        shape=shape,
        **{
            "adversarial_weight": 2.0,
            "discriminator_factor": 0.5,
            "cycle_weight": 10.0,
            "identity_weight": 0.5,
            **weights,
        },
    )


def squares(count=4, shape=SHAPE):
    """Red squares on black, and blue squares on white, at independent random places."""
    domains = []
    for colour, background in ((0, -1.0), (2, 1.0)):
        images = torch.full((count, *shape), background)
        side = shape[1] // 2
        for image, x, y in zip(images, *torch.randint(shape[1] - side, (2, count)), strict=True):
            image[:, y : y + side, x : x + side] = -1.0
            image[colour, y : y + side, x : x + side] = 1.0
        domains.append(images)
    return Batch(tuple(domains))


def constant_critic(score):
    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.critic = patchgan.Discriminator(4, 1, "none", False, SHAPE)
            nn.init.zeros_(self.critic.head.weight)
            nn.init.constant_(self.critic.head.bias, score)

        def forward(self, images, condition=None):
            return self.critic(images, condition)

    return Critic()


def test_ownership_is_a_partition(assert_partition):
    assert_partition(make())


def test_generators_move_first_and_every_term_is_named():
    moves = list(make().play(iter(squares, None)))
    assert [list(move) for move in moves] == [["generator"], ["discriminator"]]
    assert set(moves[0]["generator"]) == {
        f"{term}_{domain}" for term in ("adversarial", "cycle", "identity") for domain in "ab"
    }
    assert set(moves[1]["discriminator"]) == {f"{term}_{domain}" for term in ("real", "fake") for domain in "ab"}


def test_identity_translators_lose_nothing_in_a_cycle():
    game = make()
    game.a_to_b, game.b_to_a = nn.Identity(), nn.Identity()
    a, b = squares().domains
    terms = game.generator_terms(a, b, fake_a=b, fake_b=a)
    assert all(terms[name].item() == 0.0 for name in ("cycle_a", "cycle_b", "identity_a", "identity_b"))


def test_a_shift_costs_its_size_in_every_pixel():
    class Shift(nn.Module):
        def forward(self, images):
            return images + 0.25

    game = make(identity_weight=0.5, cycle_weight=10.0)
    game.a_to_b, game.b_to_a = Shift(), Shift()
    a, b = squares().domains
    terms = game.generator_terms(a, b, fake_a=b + 0.25, fake_b=a + 0.25)
    assert terms["cycle_a"].item() == pytest.approx(10 * 0.5)
    assert terms["identity_b"].item() == pytest.approx(5 * 0.25)


def test_adversarial_terms_are_the_published_least_squares():
    game = make()
    game.discriminator_a, game.discriminator_b = constant_critic(0.2), constant_critic(0.7)
    a, b = squares().domains
    generator = game.generator_terms(a, b, fake_a=a, fake_b=b)
    assert generator["adversarial_a"].item() == pytest.approx((0.2 - 1) ** 2)
    assert generator["adversarial_b"].item() == pytest.approx((0.7 - 1) ** 2)
    discriminator = game.discriminator_terms(a, b, a, b)
    assert discriminator["real_a"].item() == pytest.approx(0.5 * (0.2 - 1) ** 2)
    assert discriminator["fake_b"].item() == pytest.approx(0.5 * 0.7**2)


def test_no_identity_term_at_weight_zero():
    a, b = squares().domains
    assert "identity_a" not in make(identity_weight=0.0).generator_terms(a, b, fake_a=b, fake_b=a)


def test_the_discriminators_move_leaves_the_translators_alone():
    game = make()
    move = list(game.play(iter(squares, None)))[1]["discriminator"]
    sum(move.values()).backward()
    assert all(p.grad is None for network in (game.a_to_b, game.b_to_a) for p in network.parameters())
    assert all(p.grad is not None for p in game.discriminator_a.parameters())


def test_a_penalty_and_several_critic_steps(play):
    objective = Objective(
        Wasserstein(), None, {"gradient_penalty": GradientPenalty(10.0, 1.0, "two", "lines", "sample")}, {}, 3, None, {}
    )
    game = make(objective)
    moves = [list(move) for move in game.play(iter(squares, None))]
    assert moves == [["generator"], ["discriminator"], ["discriminator"], ["discriminator"]]
    play(game, squares, range(2))
    assert all(parameter.isfinite().all() for parameter in game.parameters())


def test_a_penalty_takes_the_mean_of_a_map_of_patches():
    """Of a linear score w·x at every one of 64 pixels: the mean's gradient has the norm |w| / 8."""
    critic = patchgan.Discriminator(1, 0, "none", False, (3, 8, 8))
    critic.blocks = nn.ModuleList()
    critic.head = nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        critic.head.weight.copy_(torch.tensor([2.0, 4.0, 4.0]).view(1, 3, 1, 1))
    penalty = GradientPenalty(10.0, 1.0, "two", "lines", "sample")
    comparison = lsgan().compare(critic, torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), None, make().moment)
    assert penalty(comparison).item() == pytest.approx(10 * (6 / 8 - 1) ** 2, rel=1e-5)


def test_what_a_term_remembers_is_of_one_domain(play):
    terms = {"lecam": LeCam(0.1, "relu", 0.9, 0), "history": HistoricalAveraging(1.0)}
    game = make(Objective(LeastSquares(0.0, 1.0, 1.0), None, terms, {"history": HistoricalAveraging(1.0)}, 1, None, {}))
    play(game, squares, range(3))
    of_a, of_b = game.objective_a.discriminator_extra, game.objective_b.discriminator_extra
    assert of_a["history"].moves == of_b["history"].moves == 3  # once per move
    assert not torch.equal(of_a["lecam"].total_real, of_b["lecam"].total_real)
    moves = list(game.play(iter(squares, None)))
    for term, mine, other in (
        (moves[1]["discriminator"]["history_a"], game.discriminator_a, game.discriminator_b),
        (moves[0]["generator"]["history_b"], game.a_to_b, game.b_to_a),
    ):
        term.backward()
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in mine.parameters())
        assert all(parameter.grad is None for parameter in other.parameters())
        game.zero_grad()


@pytest.mark.parametrize("restore_pools", [True, False])
def test_resume_is_exact_and_needs_the_pools(play, restore_pools):
    straight = make()
    play(straight, squares, range(6))

    begun = make()
    optimizers = play(begun, squares, range(3))
    state = copy.deepcopy(begun.state_dict())
    moments = {name: copy.deepcopy(optimizer.state_dict()) for name, optimizer in optimizers.items()}
    if not restore_pools:
        state |= {name: torch.zeros_like(value) for name, value in state.items() if name.startswith("pool_")}

    resumed = make(seed=1)
    resumed.load_state_dict(state)
    optimizers = play(resumed, squares, range(0))
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(moments[name])
    play(resumed, squares, range(3, 6), optimizers=optimizers)
    equal = all(torch.equal(value, resumed.state_dict()[name]) for name, value in straight.state_dict().items())
    assert equal is restore_pools


def test_translates_in_both_directions():
    game = make()
    a, b = squares(count=2).domains
    translated = game.sample(2, condition=a)
    torch.testing.assert_close(translated, game.a_to_b(a))
    assert not translated.requires_grad
    assert torch.equal(game.translate(a, game.directions[0]), translated)
    torch.testing.assert_close(game.translate(b, "b_to_a"), game.b_to_a(b))


def test_pictures_are_rows_of_original_translation_return_and_identity():
    game = make()
    batch = squares(count=4)
    pictures = game.pictures(batch, count=9)
    assert {name: (len(picture.images), picture.columns) for name, picture in pictures.items()} == {
        "a_to_b": (12, 4),
        "b_to_a": (12, 4),
    }
    assert pictures["a_to_b"].captions == ("A", "A to B", "A to B to A", "A to A")
    assert torch.equal(pictures["b_to_a"].images[4], batch.domains[1][1])
    a = batch.domains[0][:3]
    for column, expected in enumerate((a, game.a_to_b(a), game.b_to_a(game.a_to_b(a)), game.b_to_a(a))):
        torch.testing.assert_close(pictures["a_to_b"].images[column::4], expected)


def sliced_wasserstein(one, other):
    """Mean absolute difference of sorted projections on 256 random directions."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(one[0].numel(), 256, generator=generator)
    directions /= directions.norm(dim=0)
    return (sorted_projections(one, directions) - sorted_projections(other, directions)).abs().mean().item()


def sorted_projections(images, directions):
    return (images.flatten(1) @ directions).sort(dim=0).values


def errors(game, shape):
    """Of images never seen: mean absolute error after there and back; distances from B of translations and of A."""
    torch.manual_seed(1000)
    (a, _), (_, b) = squares(64, shape).domains, squares(64, shape).domains
    with torch.no_grad():
        fake_b = game.a_to_b(a)
        cycle = (game.b_to_a(fake_b) - a).abs().mean().item()
    return cycle, sliced_wasserstein(fake_b, b), sliced_wasserstein(a, b)


@pytest.mark.parametrize("translator", [residual, concatenating])
def test_learns_to_translate_squares(play, translator):
    game = make(pool_size=50, translator=translator)
    before, _, _ = errors(game, SHAPE)
    play(game, squares, range(100), lr=2e-3)
    cycle, distance, apart = errors(game, SHAPE)
    assert cycle < min(0.3, 0.5 * before)
    assert distance < 0.6 * apart  # black backgrounds have become white ones


@pytest.mark.slow
@pytest.mark.parametrize("translator", [lambda shape: residual(shape, blocks=2), concatenating])
def test_learns_to_translate_larger_squares(play, translator):
    shape = (3, 32, 32)
    game = make(pool_size=50, shape=shape, translator=translator)
    play(game, lambda: squares(shape=shape), range(100))
    cycle, distance, apart = errors(game, shape)
    assert cycle < 0.3
    assert distance < 0.6 * apart
