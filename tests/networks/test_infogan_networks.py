import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks.infogan import Discriminator, Generator


def discriminator(size=28, channels=1, norm="batch", width=64, hidden=1024):
    return Discriminator(
        width=width,
        hidden=hidden,
        code_hidden=128,
        norm=norm,
        categories=[10],
        continuous=2,
        size=size,
        channels=channels,
    )


def test_parameter_counts_on_mnist():
    with torch.device("meta"):
        judge = discriminator()
        generator = Generator(latent_size=74, width=64, hidden=1024, size=28, channels=1)
    assert parameter_count(judge.trunk) == 6_558_144
    assert parameter_count(judge.head) == 1_025
    assert parameter_count(judge.code_head) == 133_004
    assert parameter_count(generator) == 6_652_481


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (8, 1)])
def test_shapes(size, channels):
    image = Generator(latent_size=20, width=4, hidden=16, size=size, channels=channels)(torch.randn(3, 20))
    assert image.shape == (3, channels, size, size)
    assert image.abs().max() <= 1
    output = discriminator(size, channels, width=4, hidden=16)(image)
    assert output.score.shape == (3,)
    assert output.code.shape == (3, 12)
    assert len(output.features) == 3


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_without_batch_norm_no_sample_sees_another(norm):
    judge = discriminator(8, width=4, hidden=16, norm=norm)
    images = torch.randn(4, 1, 8, 8)
    alone, together = judge(images[:1]), judge(images)
    torch.testing.assert_close(alone.score, together.score[:1])
    torch.testing.assert_close(alone.code, together.code[:1])


def test_sizes_not_divisible_by_four_are_refused():
    with pytest.raises(ValueError, match="divisible by 4; got 30"):
        discriminator(30)
    with pytest.raises(ValueError, match="divisible by 4; got 30"):
        Generator(latent_size=74, width=4, hidden=16, size=30, channels=1)
