"""DCGAN: parameter counts of the published layouts, shapes, conditioning."""

from __future__ import annotations

import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks.dcgan import Discriminator, Generator
from ganrun.networks.mlp import Discriminator as MLPDiscriminator
from ganrun.networks.mlp import Generator as MLPGenerator


def generator(size, channels, latent_size=100, width=64, conditional=False, classes=0):
    return Generator(latent_size, width, "batch", conditional, size, channels, classes)


def discriminator(size, channels, norm="batch", width=64, spectral=False, conditional=False, classes=0):
    return Discriminator(width, norm, spectral, conditional, size, channels, classes)


@pytest.mark.parametrize(
    ("size", "channels", "generator_count", "with_norm", "without"),
    [
        (16, 3, 339_328, 136_448, 136_192),
        (32, 1, 1_066_880, 661_248, 660_480),
        (32, 3, 1_068_928, 663_296, 662_528),
        (64, 1, 3_574_656, 2_763_520, 2_761_728),
        (64, 3, 3_576_704, 2_765_568, 2_763_776),
        (128, 3, 12_786_560, 11_164_416, 11_160_576),
    ],
)
def test_parameter_counts(size, channels, generator_count, with_norm, without):
    with torch.device("meta"):
        assert parameter_count(generator(size, channels)) == generator_count
        assert parameter_count(discriminator(size, channels)) == with_norm
        assert parameter_count(discriminator(size, channels, norm="none")) == without


def test_small_parameter_counts():
    assert parameter_count(generator(16, 3, 32, 16)) == 25_440
    assert parameter_count(discriminator(16, 3, width=16)) == 9_536


def test_shapes_and_range():
    images = generator(16, 3, 8, 4)(torch.randn(5, 8))
    assert images.shape == (5, 3, 16, 16)
    assert images.abs().max() <= 1
    output = discriminator(16, 3, width=4)(images)
    assert output.score.shape == (5,)
    assert [tuple(feature.shape) for feature in output.features] == [(5, 4, 8, 8), (5, 8, 4, 4)]


@pytest.mark.parametrize("size", [4, 12, 33])
def test_refuses_other_sizes(size):
    with pytest.raises(ValueError, match=f"got {size}"):
        generator(size, 3)


def test_labels_change_both_networks():
    torch.manual_seed(0)
    z = torch.randn(2, 8)
    make = generator(16, 1, 8, 4, conditional=True, classes=3).eval()
    judge = discriminator(16, 1, width=4, conditional=True, classes=3).eval()
    labels = torch.tensor([0, 1])
    assert not torch.equal(make(z, labels), make(z, labels.flip(0)))
    images = make(z, labels)
    assert not torch.equal(judge(images, labels).score, judge(images, labels.flip(0)).score)
    with pytest.raises(ValueError, match="was given no labels"):
        make(z)


def test_spectral_normalisation_bounds_every_layer():
    torch.manual_seed(0)
    network = discriminator(16, 1, norm="none", width=4, spectral=True)
    for _ in range(30):
        network(torch.randn(2, 1, 16, 16))
    for block in [*(block[0] for block in network.blocks), network.head]:
        norm = torch.linalg.matrix_norm(block.weight.flatten(1), ord=2)
        assert norm.item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("shape", "generator_count", "discriminator_count"),
    [
        ((1, 28, 28), 1_510_032, 533_505),
        ((1, 32, 32), 1_756_032, 656_385),
        ((3, 32, 32), 3_855_232, 1_704_961),
    ],
)
def test_mlp_parameter_counts(shape, generator_count, discriminator_count):
    make = MLPGenerator(100, [128, 256, 512, 1024], "batch", "leaky_relu", "tanh", False, shape, 10)
    judge = MLPDiscriminator([512, 256], "leaky_relu", False, shape, 10)
    assert (parameter_count(make), parameter_count(judge)) == (generator_count, discriminator_count)
    images = make(torch.randn(2, 100))
    assert images.shape == (2, *shape)
    assert judge(images).score.shape == (2,)


def test_toy_parameter_counts():
    make = MLPGenerator(2, [128] * 3, "none", "relu", "linear", False, (2,), 0)
    judge = MLPDiscriminator([128] * 3, "relu", False, (2,), 0)
    assert (parameter_count(make), parameter_count(judge)) == (33_666, 33_537)
    assert judge(make(torch.randn(4, 2))).score.shape == (4,)
