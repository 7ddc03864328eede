"""StackGAN's networks: their sizes, and what they look at."""

from __future__ import annotations

import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks.stackgan import Discriminator, Generator, Refiner

TEXTS, CONDITION = 1024, 128


def generator(size=64, width=192):
    return Generator(100, CONDITION, width, size, 3, TEXTS)


def refiner(sketch=64, size=256, width=192, blocks=4):
    return Refiner(CONDITION, width, blocks, sketch, size, 3, TEXTS)


def discriminator(size=64, narrowings=0, unconditional=False, width=96, norm="batch", spectral=False):
    return Discriminator(width, CONDITION, norm, spectral, narrowings, unconditional, size, 3, TEXTS)


def test_parameters_of_the_published_sizes():
    """The published code has no projection of the text in its discriminators."""
    with torch.device("meta"):
        drawn, first = generator(), discriminator()
        two, four = refiner(blocks=2), refiner(blocks=4)
        second = discriminator(256, 2, unconditional=True)
    assert parameter_count(drawn) == 20_020_832
    assert parameter_count(drawn.augment) == parameter_count(two.augment) == 262_400
    assert parameter_count(two) == 37_130_480
    assert parameter_count(four) == 58_370_288
    assert parameter_count(first.compress) == parameter_count(second.compress) == 131_200
    assert parameter_count(first) - 131_200 == 12_407_425
    assert parameter_count(second) - 131_200 == 159_889_538


@pytest.mark.parametrize(("sketch", "size"), [(8, 16), (16, 32), (16, 64), (32, 64), (8, 64)])
def test_any_power_of_two_lies_between_the_stages(sketch, size):
    torch.manual_seed(0)
    texts, condition = torch.randn(2, TEXTS), torch.randn(2, CONDITION)
    images = generator(sketch, 16)(torch.randn(2, 100), condition)
    assert images.shape == (2, 3, sketch, sketch)
    refined = refiner(sketch, size, 16, 1)(images, condition)
    assert refined.shape == (2, 3, size, size)
    assert max(images.abs().max(), refined.abs().max()) <= 1
    narrowings = (size // sketch).bit_length() - 1
    first = discriminator(sketch, width=8)(images, texts)
    second = discriminator(size, narrowings, True, width=8)(refined, texts)
    assert [score.shape for score in first.scores] == [(2,)]
    assert [score.shape for score in second.scores] == [(2,), (2,)]
    assert (first.unconditional, second.unconditional) == (0, 1)
    assert first.features[-1].shape == second.features[-1].shape  # as many channels under the heads


def test_only_the_first_head_reads_the_text():
    torch.manual_seed(0)
    network = discriminator(16, 0, True, width=4).eval()
    images, texts = torch.randn(2, 3, 16, 16), torch.nn.functional.normalize(torch.randn(2, TEXTS))
    one, other = network(images, texts), network(images, texts.flip(0))
    assert not torch.allclose(one.scores[0], other.scores[0], atol=1e-5)
    assert torch.equal(one.scores[1], other.scores[1])


def test_a_projection_of_a_text_is_of_the_same_size_whatever_its_dimensions():
    torch.manual_seed(0)
    for size in (16, 4096):
        texts = torch.nn.functional.normalize(torch.randn(64, size))
        projected = Generator(8, 64, 4, 8, 3, size).augment(texts)
        assert projected.std().item() == pytest.approx(3**-0.5, rel=0.15)  # that of the layer's weights times √size


def test_means_may_be_negative_and_deviations_below_one():
    torch.manual_seed(0)
    mean, log_variance = generator(8, 4).augment(torch.nn.functional.normalize(torch.randn(64, TEXTS))).chunk(2, 1)
    assert (mean < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (log_variance < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_without_batch_norm_convolutions_have_biases_and_samples_are_apart():
    torch.manual_seed(0)
    network = discriminator(16, 1, True, width=4, norm="none")
    images, texts = torch.randn(3, 3, 16, 16), torch.randn(3, TEXTS)
    together, alone = network(images, texts), network(images[:1], texts[:1])
    for one, other in zip(together.scores, alone.scores, strict=True):
        assert torch.allclose(one[:1], other, atol=1e-5)
    assert network.blocks[0][0].bias is not None
    assert discriminator(16, width=4).blocks[0][0].bias is None
    assert network(images, texts).scores[0].isfinite().all()


def test_odd_widths_and_sizes_are_refused():
    with pytest.raises(ValueError, match="choose an even one"):
        generator(16, 7)
    with pytest.raises(ValueError, match=r"stage I makes square images.*got 24"):
        generator(24)
    with pytest.raises(ValueError, match="halved 2 times; got 6"):
        refiner(16, 64, width=6)
