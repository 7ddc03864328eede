import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks import patchgan, resnet_translator


@pytest.mark.parametrize(("width", "blocks", "count"), [(64, 9, 11_378_179), (64, 6, 7_837_699), (8, 2, 50_947)])
def test_translator_parameter_counts(width, blocks, count):
    with torch.device("meta"):
        assert parameter_count(resnet_translator.Generator(width, blocks, (3, 256, 256))) == count


@pytest.mark.parametrize(
    ("width", "layers", "norm", "count"),
    [(64, 3, "instance", 2_764_737), (64, 3, "batch", 2_765_633), (8, 2, "instance", 11_193)],
)
def test_patchgan_parameter_counts(width, layers, norm, count):
    with torch.device("meta"):
        assert parameter_count(patchgan.Discriminator(width, layers, norm, (3, 256, 256))) == count


def test_patchgan_scores_30x30_patches_of_256_pixels():
    with torch.device("meta"):
        critic = patchgan.Discriminator(64, 3, "none", (3, 256, 256))
        output = critic(torch.empty(1, 3, 256, 256))
    assert output.score.shape == (1, 1, 30, 30)
    assert len(output.features) == 4


def test_a_patch_is_70_pixels_wide():
    critic = patchgan.Discriminator(2, 3, "none", (1, 128, 128)).double()
    image = torch.zeros(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    critic(image).score[0, 0, 7, 7].backward()
    rows, columns = image.grad[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_smallest_image_of_a_patchgan():
    critic = patchgan.Discriminator(4, 3, "instance", (3, 24, 24))
    assert critic(torch.randn(1, 3, 24, 24)).score.shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match="at least 24 pixels"):
        patchgan.Discriminator(4, 3, "instance", (3, 20, 20))


def test_translator_keeps_the_shape_and_treats_images_alone():
    translator = resnet_translator.Generator(4, 1, (3, 16, 24))
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    translated = translator(images)
    assert translated.shape == images.shape
    assert translated.abs().max() <= 1
    torch.testing.assert_close(translator(images[:1]), translated[:1])
    assert not list(translator.buffers())


def test_a_residual_block_with_zero_weights_is_the_identity():
    block = resnet_translator.ResidualBlock(4)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    hidden = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(hidden), hidden)


@pytest.mark.parametrize("sides", [(30, 32), (32, 30), (4, 4)])
def test_translator_refuses_other_sides(sides):
    with pytest.raises(ValueError, match="divisible by 4"):
        resnet_translator.Generator(4, 1, (3, *sides))
