"""Networks of SinGAN against the published sizes and by hand."""

from __future__ import annotations

import pytest
import torch

from ganrun.core.errors import RunError
from ganrun.core.types import parameter_count
from ganrun.networks.singan import Discriminator, Generator


@pytest.mark.parametrize(
    ("width", "generator", "discriminator"),
    [(16, 7_971, 7_681), (32, 29_763, 29_185), (64, 114_819, 113_665), (128, 450_819, 448_513)],
)
def test_parameter_counts_are_the_published_ones(width, generator, discriminator):
    assert parameter_count(Generator(width, layers=5, norm="batch", channels=3)) == generator
    assert parameter_count(Discriminator(width, layers=5, norm="batch", spectral=False, channels=3)) == discriminator


@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_goes_in_and_comes_out(channels):
    generator = Generator(4, layers=5, norm="batch", channels=channels)
    discriminator = Discriminator(4, layers=5, norm="batch", spectral=False, channels=channels)
    for size in [(11, 13), (25, 34)]:
        images = torch.rand(2, channels, *size)
        assert generator(images, images).shape == images.shape
        output = discriminator(images)
        assert output.score.shape == (2, 1, size[0] - 10, size[1] - 10)
        assert len(output.features) == 4


def test_generator_adds_to_the_previous_image():
    generator = Generator(4, layers=3, norm="none", channels=1)
    previous = torch.rand(1, 1, 9, 9)
    change = generator(torch.zeros(1, 1, 9, 9), previous) - previous
    assert change.abs().max() > 0
    torch.nn.init.zeros_(generator.layers[-2].weight)
    assert torch.equal(generator(torch.randn(1, 1, 9, 9), previous), previous)


def test_noise_and_previous_enter_by_their_sum_alone():
    generator = Generator(4, layers=5, norm="none", channels=3)
    noise, previous = torch.randn(2, 1, 3, 12, 12)
    detail = generator(noise, previous) - previous
    torch.testing.assert_close(detail, generator(noise + previous, torch.zeros_like(previous)))


def test_a_score_sees_a_patch_of_eleven_pixels():
    discriminator = Discriminator(4, layers=5, norm="none", spectral=False, channels=1).double()
    image = torch.rand(1, 1, 21, 23, dtype=torch.double, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(image).score[0, 0, 4, 7], image)
    rows, columns = gradient[0, 0].nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 14, 7, 17)


def test_images_smaller_than_a_patch_are_refused():
    discriminator = Discriminator(4, layers=5, norm="batch", spectral=False, channels=3)
    with pytest.raises(RunError, match=r"10x30 pixels holds no patch of 11 pixels\. Raise model\.min_size"):
        discriminator(torch.rand(1, 3, 10, 30))


def test_spectral_normalisation_bounds_every_layer():
    discriminator = Discriminator(4, layers=5, norm="none", spectral=True, channels=3)
    for _ in range(50):
        discriminator(torch.rand(1, 3, 12, 12))
    discriminator.eval()
    for module in discriminator.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2) == pytest.approx(1, abs=0.02)
