"""SinGAN: the pyramid, the order of moves, what a scale's state is, sampling at other sizes, learning."""

from __future__ import annotations

import math
from functools import partial
from itertools import islice, pairwise

import pytest
import torch
from torch import nn

from ganrun.core.errors import DataError, RunError
from ganrun.core.types import Batch, DiscriminatorOutput
from ganrun.engine.stages import walk
from ganrun.games.singan import Scale, SinGAN, draw, pyramid_sizes, resize, wander
from ganrun.losses.base import Comparison
from ganrun.losses.objective import Objective
from ganrun.losses.terms.gradient_penalty import GradientPenalty
from ganrun.losses.wasserstein import Wasserstein
from ganrun.networks.singan import Discriminator, Generator


def picture(height: int = 40, width: int = 56) -> torch.Tensor:
    """Sky, ground and a few blocks: layout at the coarse scales, edges at the fine ones."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    image = torch.stack([y, 1 - y, 0.5 + 0.4 * torch.sin(12 * x)])
    for left in (0.1, 0.4, 0.7):
        image = torch.where((x > left) & (x < left + 0.15) & (y > 0.4 - 0.2 * left), 0.1 + left, image)
    return image[None] * 2 - 1


def make_game(image=None, width=4, min_size=16, scales_per_width=4) -> SinGAN:
    return SinGAN(
        generator=partial(Generator, layers=5, norm="batch", channels=3),
        discriminator=partial(Discriminator, layers=5, norm="batch", spectral=False, channels=3),
        objective=Objective(
            Wasserstein(),
            None,
            {"gradient_penalty": GradientPenalty(0.1, 1.0, "two", "lines", "channels")},
            {},
            3,
            None,
            {},
        ),
        width=width,
        max_width=2 * width,
        scales_per_width=scales_per_width,
        min_size=min_size,
        max_size=250,
        scale_factor=0.75,
        exact_factor=False,
        generator_steps=3,
        noise_weight=0.1,
        reconstruction_weight=10.0,
        image=picture() if image is None else image,
    )


def train(scale: Scale, steps: int) -> list[float]:
    """Reconstruction errors, step by step."""
    scale.train()
    players = {name: [p for m in modules for p in m.parameters()] for name, modules in scale.players().items()}
    optimizers = {name: torch.optim.Adam(ps, lr=5e-4, betas=(0.5, 0.999)) for name, ps in players.items()}
    errors = []
    for _ in range(steps):
        for move in scale.play(iter(())):
            for name, terms in move.items():
                torch.stack(list(terms.values())).sum().backward(inputs=players[name])
                optimizers[name].step()
                optimizers[name].zero_grad()
        errors.append(scale.statistics.flush()["scale/reconstruction_mse"])
    return errors


def trained_game(steps: int = 2, **kwargs) -> tuple[SinGAN, list[dict]]:
    """A game with all scales trained, and their states."""
    game, states = make_game(**kwargs), []
    torch.manual_seed(0)
    for stage in game.stages():
        train(stage.game, steps)
        states.append({name: tensor.clone() for name, tensor in stage.game.state_dict().items()})
    return game.eval(), states


# --- pyramid


@pytest.mark.parametrize(
    ("size", "finest", "scales"),
    [((427, 640), (167, 250), 8), ((188, 250), (188, 250), 9), ((250, 250), (250, 250), 10), ((100, 60), (100, 60), 5)],
)
def test_pyramid_runs_from_25_pixels_to_the_cap(size, finest, scales):
    sizes = pyramid_sizes(size, min_size=25, max_size=250, scale_factor=0.75, exact_factor=False)
    assert len(sizes) == scales
    assert min(sizes[0]) == 25
    assert sizes[-1] == finest
    r = (25 / min(finest)) ** (1 / (scales - 1))
    assert 0.75 <= r < 0.75 ** ((scales - 2) / (scales - 1))
    for coarse, fine in pairwise(sizes):
        assert coarse[0] / fine[0] == pytest.approx(r, abs=1 / fine[0])


def test_pyramid_of_an_exact_power_has_no_extra_scale():
    assert [h for h, _ in pyramid_sizes((256, 256), 81, 256, 0.75, False)] == [81, 108, 144, 192, 256]
    assert pyramid_sizes((25, 40), 25, 250, 0.75, False) == [(25, 40)]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [((100, 150), [(25, 38), (50, 75), (100, 150)]), ((99, 150), [(50, 75), (99, 150)]), ((26, 30), [(26, 30)])],
)
def test_an_exact_factor_is_kept_and_the_smallest_size_a_bound(size, sizes):
    assert pyramid_sizes(size, 25, 250, 0.5, exact_factor=True) == sizes


@pytest.mark.parametrize("size", [(20, 30), (100, 2000)])
def test_an_image_too_small_for_the_coarsest_scale_is_refused(size):
    with pytest.raises(DataError, match=r"min_size=25.*Use a larger"):
        pyramid_sizes(size, 25, 250, 0.75, False)


def test_every_scale_makes_images_of_its_own_size():
    for image in (picture(), picture(61, 37)):
        game = make_game(image=image)
        for index, stage in enumerate(game.stages()):
            scale = stage.game
            assert scale.real.shape == scale.reconstruct().shape == (1, 3, *game.sizes[index])
            assert game.sample(2).shape == (2, 3, *game.sizes[index])
        assert torch.equal(scale.real, image)


def test_a_stage_is_a_scale_of_so_many():
    game = make_game()
    assert [stage.name for stage in game.stages()][:2] == ["scale 0/4 (16x22)", "scale 1/4 (20x28)"]


# --- scales


def scales_up_to(game: SinGAN, states: list[dict], index: int) -> list[Scale]:
    """Scales of a fresh game, the first ``index`` of them loaded."""
    scales = []
    for number, stage in enumerate(game.stages()):
        scales.append(stage.game)
        if number == index:
            return scales
        stage.game.load_state_dict(states[number])
    return scales


def test_equal_widths_hand_on_their_weights():
    game, states = trained_game(steps=1, width=4, scales_per_width=2)
    assert game.widths == [4, 4, 8, 8, 8]
    for index, inherits in enumerate([False, True, False, True, True]):
        scale = scales_up_to(make_game(width=4, scales_per_width=2), states, index)[-1]
        for network in ("generator.", "discriminator."):
            made = {name: tensor for name, tensor in scale.state_dict().items() if name.startswith(network)}
            assert (
                made[f"{network}{'layers' if network == 'generator.' else 'blocks'}.0.0.weight"].shape[0]
                == game.widths[index]
            )
            if inherits:
                assert all(torch.equal(tensor, states[index - 1][name]) for name, tensor in made.items())


def test_the_coarsest_scale_has_full_noise_and_a_fixed_grey_z_star():
    scale = next(make_game().stages()).game
    assert scale.amplitude == 1
    assert torch.equal(scale.z_star[:, 0], scale.z_star[:, 2])
    assert scale.z_star.std() == pytest.approx(1, abs=0.15)
    assert torch.equal(scale.previous(), torch.zeros_like(scale.real))
    noise = []
    scale.generator.forward = lambda noise_, previous: noise.append(noise_) or previous
    scale.refine(scale.previous())
    assert torch.equal(noise[0][:, 0], noise[0][:, 1])


def test_amplitude_is_a_tenth_of_the_coarser_reconstructions_rmse():
    game, _ = trained_game(min_size=24)
    for coarse, fine in pairwise(game.trained):
        with torch.no_grad():
            reconstruction = coarse.generator(coarse.amplitude * coarse.z_star, coarse.below)
        up = nn.functional.interpolate(reconstruction, size=fine.size, mode="bicubic", antialias=True)
        rmse = math.sqrt(((up - fine.real) ** 2).mean())
        assert float(fine.amplitude) == pytest.approx(0.1 * rmse, rel=1e-5)
        assert not fine.z_star.any()
        assert torch.equal(fine.below, up)


def test_a_step_is_three_discriminator_and_three_generator_moves():
    scale = next(make_game().stages()).game
    moves = list(scale.play(iter(())))
    assert [list(move) for move in moves] == [["discriminator"]] * 3 + [["generator"]] * 3
    assert set(moves[0]["discriminator"]) == {"real", "fake", "gradient_penalty"}
    assert set(moves[3]["generator"]) == {"adversarial", "reconstruction"}
    fakes = {move["generator"]["adversarial"].item() for move in moves[3:]}
    assert len(fakes) == 3  # every move makes its own fake


def test_losses_are_the_published_ones():
    scale = next(make_game().stages()).game
    moves = iter(scale.play(iter(())))
    torch.manual_seed(0)
    terms = next(moves)["discriminator"]
    torch.manual_seed(0)
    with torch.no_grad():
        fake = scale.refine(torch.zeros_like(scale.real))
        real_score, fake_score = scale.discriminator(scale.real).score, scale.discriminator(fake).score
    assert terms["real"].item() == pytest.approx(-real_score.mean().item(), abs=1e-6)
    assert terms["fake"].item() == pytest.approx(fake_score.mean().item(), abs=1e-6)
    scale.statistics.flush()
    generator_terms = scale.generator_terms()
    error = scale.statistics.flush()["scale/reconstruction_mse"]
    assert generator_terms["reconstruction"].item() == pytest.approx(10 * error)


def test_penalty_over_channels_is_that_of_the_summed_patch_scores():
    weight = torch.tensor([[[[2.0]], [[-1.0]], [[2.0]]]])  # 1x1 patches: the gradient is 3 in norm at every pixel

    def discriminator(images, condition):
        return DiscriminatorOutput(scores=(nn.functional.conv2d(images, weight.requires_grad_()),))

    real, fake = torch.rand(2, 1, 3, 8, 9)
    penalty = GradientPenalty(0.1, 1.0, "two", "lines", "channels")(Comparison(discriminator, real, fake))
    assert penalty.item() == pytest.approx(0.1 * (3 - 1) ** 2)


def test_coarser_scales_are_frozen_and_not_part_of_a_scale():
    game = make_game(min_size=24)
    stages = game.stages()
    first = next(stages).game
    train(first, 1)
    second = next(stages).game
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert set(second.state_dict()) == set(before)
    train(second, 1)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in first.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in first.state_dict().items())
    assert not any(module.training for module in first.modules())
    assert all(parameter.requires_grad for parameter in second.parameters())


# --- state


def test_finished_scales_loaded_one_by_one_sample_alike():
    game, states = trained_game(min_size=24)
    loaded = make_game(min_size=24)
    assert list(walk(loaded, 5, states, lambda stage: None)) == []
    loaded.eval()
    for scales in (game, loaded):
        torch.manual_seed(1)
        scales.result = scales.sample(2), scales.sample(2, None, 1.25, 1.5, 1)
    assert all(torch.equal(one, other) for one, other in zip(game.result, loaded.result, strict=True))
    assert all(
        torch.equal(one.reconstruct(), other.reconstruct())
        for one, other in zip(game.scales, loaded.scales, strict=True)
    )


def test_a_scale_goes_on_identically_from_its_state():
    _, states = trained_game(min_size=24)
    results = []
    for _ in range(2):
        scale = scales_up_to(make_game(min_size=24), states, 1)[1]
        scale.load_state_dict(states[1])
        torch.manual_seed(2)
        train(scale, 2)
        results.append(scale.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


# --- sampling


@pytest.fixture(scope="module")
def game() -> SinGAN:
    return trained_game()[0]


def test_samples_differ_and_reconstructions_do_not(game):
    assert game.sample(3).std(0).mean() > 1e-3
    assert torch.equal(game.trained[-1].reconstruct(), game.trained[-1].reconstruct())
    assert game.sample(4).abs().max() <= 1


@pytest.mark.parametrize(("height", "width", "size"), [(1, 1.5, (40, 84)), (2, 1, (80, 56)), (0.5, 0.75, (20, 42))])
def test_samples_of_other_sizes(game, height, width, size):
    for start in (0, 2):
        assert game.sample(2, None, height, width, start).shape == (2, 3, *size)


def test_a_later_start_keeps_the_reconstruction_below(game):
    start = len(game.scales) - 1
    late, early = game.sample(6, start_scale=start), game.sample(6)
    assert late.std(0).mean() < 0.5 * early.std(0).mean()
    last = game.trained[start]
    amplitude, last.amplitude = last.amplitude, torch.zeros(())
    torch.testing.assert_close(draw(game.trained, 1, start=start), last.reconstruct())
    last.amplitude = amplitude


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1, 0), "positive"), ((1, 1, 5), "scales are 0 to 4"), ((1, 1, -1), "scales are 0 to 4")],
)
def test_impossible_samples_are_refused(game, arguments, message):
    with pytest.raises(RunError, match=message):
        game.sample(1, None, *arguments)


def test_an_injected_picture_enters_between_two_scales(game):
    other = picture(30, 90)  # of other proportions: it is stretched
    seen = []
    for scale in game.trained:
        scale.generator.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    try:
        samples = game.sample(2, start_scale=3, inject=other)
    finally:
        for scale in game.trained:
            scale.generator._forward_pre_hooks.clear()
    assert len(seen) == 2  # scales 3 and 4
    torch.testing.assert_close(seen[0][0], resize(resize(other, game.sizes[2]), game.sizes[3])[0])
    assert samples.shape == (2, 3, 40, 56)
    assert not torch.equal(samples[0], samples[1])
    assert game.sample(1, width=1.5, start_scale=1, inject=other).shape == (1, 3, 40, 84)


def test_the_picture_itself_injected_without_noise_is_nearly_reconstructed(game):
    last = game.trained[-1]
    amplitude, last.amplitude = last.amplitude, torch.zeros(())
    injected = game.sample(1, start_scale=len(game.scales) - 1, inject=game.trained[-2].reconstruct())
    last.amplitude = amplitude
    torch.testing.assert_close(injected, last.reconstruct().clamp(-1, 1))


def test_a_mask_keeps_the_picture_elsewhere(game):
    mask = torch.zeros(1, 1, 40, 56)
    mask[..., :20, :] = 1
    mask[..., 20:25, :] = 0.25
    torch.manual_seed(0)
    plain = game.sample(1, start_scale=2, inject=-picture())
    torch.manual_seed(0)
    kept = game.sample(1, start_scale=2, inject=-picture(), mask=mask)
    assert torch.equal(kept[..., :20, :], plain[..., :20, :])
    assert torch.equal(kept[..., 25:, :], picture()[..., 25:, :])
    torch.testing.assert_close(kept[..., 20:25, :], 0.25 * plain[..., 20:25, :] + 0.75 * picture()[..., 20:25, :])


def test_enlarging_applies_the_finest_generator_k_times(game):
    r = (16 / 40) ** (1 / 4)
    assert game.factor == pytest.approx(r, abs=0.01)
    assert [game.passes(upscale) for upscale in (1.1, 1 / r, r**-3, 4)] == [1, 1, 3, 6]
    finest = game.trained[-1]
    calls = []
    hook = finest.generator.register_forward_pre_hook(lambda module, given: calls.append(given[1]))
    enlarged = game.sample(2, upscale=2.0)
    hook.remove()
    assert enlarged.shape == (2, 3, 80, 112)
    assert [tuple(call.shape[2:]) for call in calls] == [
        (round(40 * 2 ** (i / 3)), round(56 * 2 ** (i / 3))) for i in (1, 2, 3)
    ]
    torch.testing.assert_close(calls[0], resize(picture(), calls[0].shape[2:]).expand(2, -1, -1, -1))


def test_a_walk_has_the_variance_of_its_recursion():
    """x' = (1-α)(1+β) x - (1-α) β x'' + (1-α)(1-β) u is an autoregression of order 2."""
    pull, inertia = 0.1, 0.9
    torch.manual_seed(0)
    origin = torch.full((1, 1, 100, 100), 5.0)
    steps = islice(wander(origin, torch.randn_like, pull, inertia), 200)
    first, *_, last = steps
    assert torch.equal(first, origin)
    one, two, sigma = (1 - pull) * (1 + inertia), -(1 - pull) * inertia, (1 - pull) * (1 - inertia)
    variance = sigma**2 * (1 - two) / ((1 + two) * (1 - one - two) * (1 + one - two))
    assert last.mean() == pytest.approx(5, abs=0.02)
    assert last.var() == pytest.approx(variance, rel=0.05)


def test_a_clip_begins_with_the_reconstruction_and_moves_smoothly(game):
    torch.manual_seed(0)
    clip = game.animate(12, start_scale=0, pull=0.1, inertia=0.9)
    assert clip.shape == (12, 3, 40, 56)
    torch.testing.assert_close(clip[:1], game.trained[-1].reconstruct().clamp(-1, 1))
    assert 0 < (clip[1:] - clip[:-1]).square().mean() < 0.5 * (clip[-1] - clip[0]).square().mean()
    torch.manual_seed(0)
    late = game.animate(12, start_scale=4, pull=0.1, inertia=0.9)
    assert (late[-1] - late[0]).square().mean() < 0.5 * (clip[-1] - clip[0]).square().mean()
    still = game.animate(3, start_scale=0, pull=1.0, inertia=0.9)
    assert torch.equal(still[0], still[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inject": picture()}, "start_scale of 1 to 4"),
        ({"inject": picture(), "start_scale": 5}, "scales are 0 to 4"),
        ({"mask": picture()[:, :1]}, "Give inject"),
        ({"inject": picture(), "mask": picture()[:, :1], "width": 2.0, "start_scale": 1}, "no height or width"),
        ({"upscale": 1.0}, "above 1"),
        ({"upscale": 2.0, "width": 2.0}, "as it is"),
    ],
)
def test_impossible_manipulations_are_refused(game, options, message):
    with pytest.raises(RunError, match=message):
        game.sample(1, **options)


def test_one_scale_enlarges_nothing():
    game, _ = trained_game(image=picture(16, 20))
    with pytest.raises(RunError, match="one scale"):
        game.sample(1, upscale=2.0)


def test_pictures_have_a_row_per_scale_a_wide_and_a_tall_one(game):
    pictures = game.pictures(Batch((picture(),)), 64)
    scales, wide = pictures["scales"], pictures["wide"]
    assert pictures["tall"].images.shape == (4, 3, 60, 56)
    assert scales.images.shape == (len(game.scales) * scales.columns, 3, 40, 56)
    assert torch.equal(scales.images[-scales.columns], picture()[0])
    assert wide.images.shape == (4, 3, 40, 84)


def test_resizing_to_the_same_size_changes_nothing():
    image = picture()
    assert resize(image, (40, 56)) is image


# --- learning


def check_learning(min_size: int, width: int, steps: int) -> None:
    game = make_game(width=width, min_size=min_size)
    torch.manual_seed(0)
    for stage in game.stages():
        errors = train(stage.game, steps)
        assert errors[-1] < 0.6 * errors[0], stage.name
    assert game.eval().sample(4).std(0).mean() > 0.05


def test_reconstruction_error_falls_at_every_scale():
    check_learning(min_size=24, width=8, steps=20)


@pytest.mark.slow
def test_reconstruction_error_falls_at_every_scale_of_a_deeper_pyramid():
    check_learning(min_size=16, width=16, steps=50)
