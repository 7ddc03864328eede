"""Adaptive augmentation: each transform by what it does to probe images, and the adaptation by its arithmetic."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode

from ganrun.augment.ada import AdaptiveAugment, Transform
from ganrun.augment.diffaugment import DiffAugment
from ganrun.augment.flip_shift import FlipShift
from ganrun.core.types import START, DiscriminatorOutput

ALL = get_args(Transform)


def ada(*transforms: str, p: float = 1.0, target: float = 0.6, speed: float = 1000.0, interval: int = 4):
    return AdaptiveAugment(target, speed, interval, p, transforms)


def pictures(count: int = 4, channels: int = 3, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.rand(count, channels, height, width) * 2 - 1


def close(actual: torch.Tensor, expected: torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_never_means_exactly_nothing(channels):
    images = pictures(16, channels, 9, 12)
    assert torch.equal(ada(*ALL, p=0.0)(images, START), images)
    assert torch.equal(ada(p=1.0)(images, START), images)


@pytest.mark.parametrize("name", ALL)
def test_each_hits_a_fraction_p_of_the_images(name):
    some_do_nothing = {"x_flip": 1 / 2, "rotation_90": 3 / 4, "luma_flip": 1 / 2, "integer_translation": 3 / 4}
    image = pictures(1, 3, 8, 8)
    changed = ada(name, p=0.3)(image.expand(6000, -1, -1, -1), START)
    fraction = (changed != image).flatten(1).any(1).double().mean().item()
    assert fraction == pytest.approx(0.3 * some_do_nothing.get(name, 1), abs=0.025)


def test_images_are_hit_independently():
    torch.manual_seed(1)
    augment, batch, other = ada(*ALL, p=0.8), pictures(4), pictures(4)
    other[0] = batch[0]
    torch.manual_seed(2)
    first = augment(batch, START)
    torch.manual_seed(2)
    assert torch.equal(augment(batch, START), first)
    torch.manual_seed(2)
    assert torch.equal(augment(other, START)[0], first[0])
    several = augment(batch[:1].expand(8, -1, -1, -1), START)
    assert len({tuple(one.flatten().tolist()) for one in several}) == 8


def found(changed: torch.Tensor, candidates: list[torch.Tensor]) -> list[int]:
    """Which candidate each image is."""
    distances = (changed[:, None] - torch.stack(candidates)).abs().flatten(2).amax(2)
    assert distances.amin(1).max() < 1e-4
    return distances.argmin(1).tolist()


def test_blits_move_whole_pixels():
    image = pictures(1, 3, 16, 16)
    batch = image.expand(400, -1, -1, -1)
    assert set(found(ada("x_flip")(batch, START), [image[0], image[0].flip(2)])) == {0, 1}
    turns = found(ada("rotation_90")(batch, START), [image[0].rot90(k, (1, 2)) for k in range(4)])
    assert min(turns.count(k) for k in range(4)) > 70
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2), "reflect")[0]
    middle = [padded[:, i + 2 : i + 14, j + 2 : j + 14] for i in range(5) for j in range(5)]
    shifts = found(ada("integer_translation")(batch, START)[:, :, 2:-2, 2:-2], middle)
    rows = torch.tensor(shifts) // 5
    shares = [(rows == k).double().mean().item() for k in range(5)]
    assert shares == pytest.approx([1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8], abs=0.08)  # of a rounded uniform number


def maps(name: str, side: int = 33, count: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices ``[count, 2, 2]`` and shifts ``[count, 2]`` from new pixel to old, read off images of coordinates."""
    axis = torch.arange(side) - (side - 1) / 2
    image = torch.stack([axis.expand(side, side), axis[:, None].expand(side, side), torch.zeros(side, side)])
    changed = ada(name)(image.expand(count, -1, -1, -1), START)[:, :2]
    middle = side // 2
    shift = changed[:, :, middle, middle]
    right = (changed[:, :, middle, middle + 6] - changed[:, :, middle, middle - 6]) / 12
    down = (changed[:, :, middle + 6, middle] - changed[:, :, middle - 6, middle]) / 12
    return torch.stack([right, down], -1), shift


def test_scale_is_lognormal_and_about_the_centre():
    matrix, shift = maps("scale")
    close(shift, torch.zeros_like(shift), 1e-3)
    close(matrix[:, 0, 1], torch.zeros(2000), 1e-3)
    close(matrix[:, 0, 0], matrix[:, 1, 1], 1e-3)
    assert matrix[:, 0, 0].log2().std().item() == pytest.approx(0.2, rel=0.05)
    assert matrix[:, 0, 0].log2().mean().item() == pytest.approx(0.0, abs=0.015)


def test_anisotropic_scale_keeps_areas():
    matrix, shift = maps("anisotropic_scale")
    close(shift, torch.zeros_like(shift), 1e-3)
    close(matrix[:, 0, 0] * matrix[:, 1, 1], torch.ones(2000), 0.03)
    assert matrix[:, 0, 0].log2().std().item() == pytest.approx(0.2, rel=0.05)


def test_rotation_is_uniform():
    matrix, shift = maps("rotation")
    close(shift, torch.zeros_like(shift), 1e-3)
    close(matrix @ matrix.mT, torch.eye(2).expand(2000, 2, 2), 0.03)
    angles = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
    assert torch.histc(angles, 8, -math.pi, math.pi).tolist() == pytest.approx([250] * 8, abs=60)


def test_fractional_translation_is_normal():
    matrix, shift = maps("fractional_translation")
    inside = shift.abs().amax(1) < 6
    close(matrix[inside], torch.eye(2).expand(int(inside.sum()), 2, 2), 0.03)
    assert shift.std(0).tolist() == pytest.approx([33 / 8] * 2, rel=0.05)
    assert (shift != shift.round()).any()


def colours(*names: str, count: int = 3000) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices ``[count, 3, 3]`` and offsets ``[count, 3]`` from old colour to new, read off primaries."""
    image = torch.cat([torch.zeros(3, 1), torch.eye(3)], 1)[:, None]  # [3, 1, 4]
    changed = ada(*names)(image.expand(count, -1, -1, -1), START)[:, :, 0]
    return changed[:, :, 1:] - changed[:, :, :1], changed[:, :, 0]


GREY = torch.ones(3) / math.sqrt(3)


def test_brightness_adds():
    matrix, offset = colours("brightness")
    close(matrix, torch.eye(3).expand(3000, 3, 3))
    assert torch.equal(offset[:, 0], offset[:, 1])
    assert torch.equal(offset[:, 0], offset[:, 2])
    assert offset[:, 0].std().item() == pytest.approx(0.2, rel=0.05)


def test_contrast_multiplies():
    matrix, offset = colours("contrast")
    factor = matrix[:, 0, 0]
    close(matrix, factor[:, None, None] * torch.eye(3), 1e-5)
    assert offset.eq(0).all()
    assert factor.log2().std().item() == pytest.approx(0.5, rel=0.05)


def test_luma_flip_is_a_reflection():
    matrix, _ = colours("luma_flip")
    flipped = torch.eye(3) - 2 * torch.outer(GREY, GREY)
    assert set(found(matrix, [torch.eye(3), flipped])) == {0, 1}


def test_hue_turns_about_grey():
    matrix, _ = colours("hue")
    close(matrix @ GREY, GREY.expand(3000, 3))
    x, y, z = GREY
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    cosine = (matrix.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    sine = (matrix * cross).sum((1, 2)) / 2
    angle = torch.atan2(sine, cosine)
    close(matrix, torch.linalg.matrix_exp(angle[:, None, None] * cross))
    assert torch.histc(angle, 8, -math.pi, math.pi).tolist() == pytest.approx([375] * 8, abs=75)


def test_saturation_scales_the_distance_from_grey():
    matrix, _ = colours("saturation")
    along = torch.outer(GREY, GREY)
    factor = (matrix.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    expected = along + factor[:, None, None] * (torch.eye(3) - along)
    torch.testing.assert_close(matrix, expected, atol=1e-5, rtol=1e-5)
    assert factor.log2().std().item() == pytest.approx(1.0, rel=0.05)


def test_brightness_comes_before_contrast_and_luma_flip():
    matrix, offset = colours("brightness", "contrast", "luma_flip")
    brightness = (offset / (matrix @ torch.ones(3)))[:, 0]  # (±c)·b over ±c
    assert brightness.std().item() == pytest.approx(0.2, rel=0.05)


def test_grey_images_know_luma_only():
    images = pictures(50, 1)
    close(ada("hue", "saturation")(images, START), images)
    flipped = ada("luma_flip")(images, START)
    assert set(found(flipped[:1].expand(2, -1, -1, -1), [images[0], -images[0]])) <= {0, 1}
    close(flipped.abs(), images.abs())


def test_refusals():
    with pytest.raises(ValueError, match="colour know one or three channels, not 2"):
        ada("brightness")(torch.zeros(1, 2, 4, 4), START)
    with pytest.raises(ValueError, match="no transform 'flip_x'; there are x_flip, "):
        ada("x_flip", "flip_x")


def test_can_be_differentiated_twice():
    images = pictures(2, 3, 4, 5).double().requires_grad_()

    def seeded(images):
        torch.manual_seed(4)
        return ada(*ALL, p=0.7)(images, START).square()

    assert torch.autograd.gradcheck(seeded, images)
    assert torch.autograd.gradgradcheck(seeded, images)


def test_a_penalty_on_the_gradient_at_the_plain_images_reaches_the_discriminator():
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.Flatten(), torch.nn.Linear(64, 1)]
    network, images = torch.nn.Sequential(*layers).double(), pictures(4, 3, 6, 6).double()

    def penalty() -> torch.Tensor:
        torch.manual_seed(5)
        points = images.clone().requires_grad_()
        score = network(ada(*ALL, p=0.9)(points, START)).sum()
        (gradient,) = torch.autograd.grad(score, points, create_graph=True)
        return gradient.square().sum()

    weight = network[0].weight
    (gradient,) = torch.autograd.grad(penalty(), weight)
    weight.data[1, 2, 0, 1] += 1e-5
    above = penalty().item()
    weight.data[1, 2, 0, 1] -= 2e-5
    below = penalty().item()
    assert gradient[1, 2, 0, 1].item() == pytest.approx((above - below) / 2e-5, rel=1e-5)


def seen(*scores: float) -> SimpleNamespace:
    """A comparison whose reals have these scores."""
    score = torch.tensor(scores)
    return SimpleNamespace(real=torch.zeros(len(score), 3, 2, 2), real_output=DiscriminatorOutput(scores=(score,)))


def state(augment: AdaptiveAugment) -> tuple[float, float]:
    return tuple(value.item() for value in augment.statistics().values())  # type: ignore[return-value]


def test_p_moves_by_the_images_of_an_interval():
    augment = ada(*ALL, p=0.5, speed=1000, interval=3)
    sure, unsure = seen(*[2.0] * 9, -0.1), seen(*[0.1] * 4, 0.0, *[-3.0] * 5)
    for comparison in (sure, sure):
        augment.observe(comparison)
        assert state(augment) == (0.5, 0.0)
    augment.observe(unsure)
    assert state(augment) == pytest.approx((0.47, 0.5))  # (8 + 8 - 1) / 30 < 0.6: down by 30 / 1000
    for _ in range(3):
        augment.observe(sure)
    assert state(augment) == pytest.approx((0.50, 0.8))


def test_p_stays_within_0_and_1():
    augment = ada(p=0.005, interval=1)
    augment.observe(seen(*[-1.0] * 10))
    assert state(augment) == (0.0, -1.0)
    augment = ada(p=0.995, interval=1)
    augment.observe(seen(*[1.0] * 10))
    assert state(augment) == (1.0, 1.0)


def test_p_rests_at_the_target():
    augment = ada(p=0.5, target=0.5, interval=1)
    augment.observe(seen(1.0, 1.0, 1.0, -1.0))
    assert state(augment) == (0.5, 0.5)


def test_patches_are_averaged():
    augment = ada(interval=1)
    comparison = seen(0.0, 0.0)
    score = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).reshape(2, 1, 1, 2)
    comparison.real_output = DiscriminatorOutput(scores=(score,))
    augment.observe(comparison)
    assert state(augment)[1] == 0.5


def test_a_checkpoint_keeps_an_interval_in_progress():
    first = ada(interval=2, p=0.2)
    first.observe(seen(*[1.0] * 10))
    second = ada(interval=2, p=0.9)
    second.load_state_dict(first.state_dict())
    for augment in (first, second):
        augment.observe(seen(*[1.0] * 30))
        assert state(augment) == pytest.approx((0.24, 1.0))


def test_processes_share_one_probability(monkeypatch):
    """The other process saw as many images, all of them negative."""

    def all_reduce(tensor: torch.Tensor) -> None:
        tensor += torch.tensor([-10.0, 10.0])

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    augment = ada(interval=1, p=0.5)
    augment.observe(seen(*[1.0] * 10))
    assert state(augment) == pytest.approx((0.48, 0.0))


def test_nothing_waits_for_the_device():
    """Tensors without values: whoever asks for one fails."""
    with FakeTensorMode():
        augment = ada(*ALL)
        comparison = SimpleNamespace(real=torch.zeros(4, 3, 8, 8))
        comparison.real_output = DiscriminatorOutput(scores=(torch.zeros(4),))
        augment.observe(comparison)
        for other in (augment, DiffAugment(["color", "translation", "cutout"]), FlipShift(2)):
            images = torch.zeros(4, 3, 8, 8, requires_grad=True)
            (gradient,) = torch.autograd.grad(other(images, START).square().sum(), images, create_graph=True)
            gradient.square().sum().backward()
            assert images.grad.shape == images.shape
