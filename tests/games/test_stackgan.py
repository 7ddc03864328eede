"""StackGAN: two stages, the second above the frozen first, and texts that are obeyed."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn.functional import normalize

from ganrun.core.errors import RunError
from ganrun.core.types import Batch
from ganrun.games.stackgan import StackGAN
from ganrun.latents.normal import Normal
from ganrun.losses.hinge import Hinge
from ganrun.losses.matching_aware import MatchingAware
from ganrun.losses.nonsaturating import NonSaturating
from ganrun.losses.objective import Objective
from ganrun.networks.stackgan import Discriminator, Generator, Refiner

SIZE, WORDS = 16, 3
MATCHING = partial(MatchingAware, fake_weight=0.5, wrong_weight=0.5, wrong="strict")


def make_game(reduction=2, size=SIZE, loss=None, augmentation_weight=1.0, width=8, hidden=4, words=WORDS) -> StackGAN:
    torch.manual_seed(0)
    data = {"channels": 3, "text_size": words, "condition_size": hidden}
    return StackGAN(
        generator=partial(Generator, latent_size=hidden, width=width, **data),
        refiner=partial(Refiner, width=width, blocks=1, size=size, **data),
        discriminator=partial(Discriminator, width=width, norm="batch", spectral=False, **data),
        latent=Normal(hidden),
        objective=Objective(loss or NonSaturating(1.0, 0.0, 0.0), None, {}, {}, 1, None, {}),
        matching=MATCHING,
        augmentation_weight=augmentation_weight,
        reduction=reduction,
        size=size,
    )


def draw(count=16, size=SIZE) -> Batch:
    """Images of one colour, a third of them slightly brighter, and the colour as a text."""
    colour = torch.randint(WORDS, (count,))
    images = -torch.ones(count, 3, size, size)
    images[torch.arange(count), colour] = torch.rand(count, 1, 1)
    return Batch((images,), torch.eye(WORDS)[colour], tuple(f"colour {k}" for k in colour.tolist()))


def states(game) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in game.state_dict().items()}


def test_the_second_stage_leaves_the_first_as_it_is(play, assert_partition):
    game = make_game()
    stages = game.stages()
    first = next(stages).game
    assert_partition(first)
    before = states(first)
    play(first, draw, range(2))
    assert any(not torch.equal(before[name], tensor) for name, tensor in states(first).items())
    left = states(first)
    stage = next(stages)
    assert stage.name == "stage II (16x16)"
    second = stage.game
    second.train()
    assert_partition(second)
    assert not any(name.startswith("below") for name in second.state_dict())
    play(second, draw, range(2, 4))
    assert all(torch.equal(left[name], tensor) for name, tensor in states(first).items())  # running statistics too
    assert not first.training
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert next(stages, None) is None


def test_each_stage_sees_images_of_its_own_size():
    game = make_game(reduction=2)
    batch = draw(4)
    for index, stage in enumerate(game.stages()):
        fake, _ = stage.game.draw(*stage.game.inputs(batch))
        comparison = stage.game.compare(batch, fake)
        assert comparison.real.shape == comparison.fake.shape == (4, 3, *[8 * 2**index] * 2)
        assert comparison.real.mean().item() == pytest.approx(batch.real.mean().item(), abs=1e-6)
        assert game.sample(4, batch.condition).shape == (4, 3, 16, 16)  # sketches are enlarged


def test_what_both_players_minimise():
    game = make_game(augmentation_weight=0.3)
    for stage in game.stages():
        discriminator, generator = (next(iter(move.values())) for move in stage.game.play(iter(draw, None)))
        assert discriminator.keys() == {"real", "fake", "wrong"}
        assert generator.keys() == {"adversarial", "augmentation"}
        logged = stage.game.statistics.flush()
        assert logged["augmentation/divergence"] == pytest.approx(generator["augmentation"].item() / 0.3, rel=1e-5)
        if stage.name.startswith("stage I "):  # later score/real counts the images alone, too
            assert logged["score/matching"] == pytest.approx(logged["score/real"] - logged["score/wrong"], abs=1e-5)


def test_divergence_is_per_dimension():
    game = make_game()
    first = next(game.stages()).game
    torch.nn.init.zeros_(first.generator.augment.layer.weight)
    first.generator.augment.layer.bias.data = torch.tensor([1.0, -1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.5])
    expected = (1 + 1 + 4 + (torch.tensor(0.5).exp().item() - 1 - 0.5)) / 2 / 4
    assert first.generator_terms(draw())["augmentation"].item() == pytest.approx(expected, rel=1e-5)


def test_stages_have_objectives_of_their_own_and_a_loss_is_made_matching_aware_once():
    game = make_game(loss=Hinge())
    one, other = (stage.game.objective for stage in game.stages())
    assert one is not other
    assert isinstance(one.adversarial, MatchingAware)
    assert isinstance(one.adversarial.loss, Hinge)
    given = MatchingAware(Hinge(), 0.2, 0.8, "independent")
    assert make_game(loss=given).objective.adversarial is given


def test_the_text_decides_the_latent_varies_and_the_means_are_a_way(play):
    game = make_game()
    for stage in game.stages():
        play(stage.game, draw, range(2))
    game.eval()
    texts = torch.eye(WORDS)[[0, 1]]
    with torch.no_grad():
        way = game.between(texts[:1], texts[1:], 5)
        assert way.shape == (5, 3, 16, 16)
        torch.manual_seed(3)
        z = game.latent(1, torch.device("cpu"))
        torch.manual_seed(3)
        again = game.between(texts[:1], texts[1:], 5)
        end, _ = game.trained[-1].draw(texts[1:], z, noisy=False)
        assert torch.allclose(again[-1:], end, atol=1e-6)
        middle, _ = game.trained[-1].draw(normalize(texts.mean(0, keepdim=True)), z, noisy=False)
        assert torch.allclose(again[2:3], middle, atol=1e-5)
    with pytest.raises(RunError, match="was given none"):
        game.sample(2)


def test_pictures_show_every_stage_above_the_caption():
    game, examples = make_game(), draw(12)
    for count, stage in enumerate(game.stages(), 1):
        stage.game.eval()
        with torch.no_grad():
            pictures = game.pictures(examples, 16)
        shown = pictures["generated"]
        assert shown.columns == 1 + 3 * count
        assert len(shown.images) == shown.columns * len(shown.captions)
        assert torch.equal(shown.images[shown.columns], examples.real[1])
        assert shown.captions == examples.texts[: len(shown.captions)]
        assert pictures["interpolation"].captions[0] == f"{examples.texts[0]} > {examples.texts[1]}"
        stage.game.train()
    assert "interpolation" not in game.eval().pictures(draw(1), 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reduction": 3}, "power of 2"),
        ({"reduction": 1}, "power of 2"),
        ({"size": 24, "reduction": 16}, "cannot be reduced 16 times"),
        ({"size": 24}, "stage I makes square images"),
        ({"size": 16, "reduction": 4}, "stage I makes square images"),
        ({"size": 64, "reduction": 8, "width": 4}, "halved 3 times; got 4"),  # of stage II, before stage I
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_game(**changes)


def squares(count: int, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A square, disc or cross of one of three colours on grey, as texts of 13 words, and the colours' numbers."""
    random = torch.Generator().manual_seed(seed)
    kind, colour = torch.randint(3, (2, count), generator=random)
    centre = torch.rand(2, count, 1, 1, generator=random) * 0.4 + 0.3
    radius = torch.rand(count, 1, 1, generator=random) * 0.12 + 0.2
    place = (torch.arange(size) + 0.5) / size
    down, across = (place[:, None] - centre[0]).abs(), (place - centre[1]).abs()
    square = torch.maximum(down, across) < 0.85 * radius
    cross = (torch.minimum(down, across) < 0.4 * radius) & (torch.maximum(down, across) < radius)
    inside = torch.stack([square, down**2 + across**2 < radius**2, cross])[kind, torch.arange(count)]
    paint = torch.where(torch.eye(3)[colour] > 0, 1.0, -1.0)[..., None, None]
    images = torch.where(inside[:, None], paint, -0.8) + 0.05 * torch.randn(count, 3, size, size, generator=random)
    halves = [torch.eye(2)[(value.flatten() > middle).long()] for value, middle in ((centre[1], 0.5), (radius, 0.26))]
    words = [torch.eye(3)[kind], torch.eye(3)[colour], torch.ones(count, 1), *halves, torch.zeros(count, 2)]
    return images.clamp(-1, 1), normalize(torch.cat(words, 1)), colour


@pytest.mark.slow
def test_the_colour_of_the_text_is_obeyed_in_both_stages(play):
    """Chance is 1/3. Measured: 1.00 after 300 steps of the first stage and 0.99 after 300 of the second."""
    images, texts, colour = squares(2048, 32, seed=0)

    def some() -> Batch:
        chosen = torch.randint(2048, (48,))
        return Batch((images[chosen],), texts[chosen])

    game = make_game(size=32, words=13, hidden=16, width=16)
    for index, stage in enumerate(game.stages()):
        stage.game.train()
        play(stage.game, some, range(300 * index, 300 * (index + 1)), lr=1e-3)
        assert stage.game.statistics.flush()["score/matching"] > 0.5  # over all steps
        game.eval()
        torch.manual_seed(0)
        drawn = game.sample(512, texts[:512])
        assert (drawn.mean((2, 3)).argmax(1) == colour[:512]).float().mean() > 0.6
        assert drawn.std(0).mean() > 0.1  # not one image per text
