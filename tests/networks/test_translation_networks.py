import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks import ganilla, patchgan, resnet_translator


@pytest.mark.parametrize(("width", "blocks", "count"), [(64, 9, 11_378_179), (64, 6, 7_837_699), (8, 2, 50_947)])
def test_translator_parameter_counts(width, blocks, count):
    with torch.device("meta"):
        assert parameter_count(resnet_translator.Generator(width, blocks, 0.5, (3, 256, 256))) == count


@pytest.mark.parametrize(
    ("width", "layers", "norm", "count"),
    [
        (64, 3, "instance", 2_764_737),
        (64, 3, "batch", 2_765_633),
        (64, 0, "instance", 8_705),
        (8, 2, "instance", 11_193),
    ],
)
def test_patchgan_parameter_counts(width, layers, norm, count):
    with torch.device("meta"):
        assert parameter_count(patchgan.Discriminator(width, layers, norm, False, (3, 256, 256))) == count


def test_patchgan_scores_30x30_patches_of_256_pixels():
    with torch.device("meta"):
        critic = patchgan.Discriminator(64, 3, "none", False, (3, 256, 256))
        output = critic(torch.empty(1, 3, 256, 256))
    assert output.score.shape == (1, 1, 30, 30)
    assert len(output.features) == 4


def test_a_patch_is_70_pixels_wide():
    critic = patchgan.Discriminator(2, 3, "none", False, (1, 128, 128)).double()
    image = torch.zeros(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    critic(image).score[0, 0, 7, 7].backward()
    rows, columns = image.grad[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == 70
    assert columns.max() - columns.min() + 1 == 70


def test_a_pixel_critic_sees_one_pixel_each():
    critic = patchgan.Discriminator(4, 0, "none", False, (3, 8, 12))
    images = torch.randn(2, 3, 8, 12)
    score = critic(images).score
    assert score.shape == (2, 1, 8, 12)
    shuffled = torch.randperm(96)
    elsewhere = critic(images.flatten(2)[:, :, shuffled].unflatten(2, (8, 12))).score
    torch.testing.assert_close(elsewhere.flatten(2), score.flatten(2)[:, :, shuffled])


def test_every_weight_of_a_spectrally_normalised_patchgan_has_norm_one():
    critic = patchgan.Discriminator(8, 2, "instance", True, (3, 32, 32)).eval()
    for module in critic.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1.0, abs=0.05)


def test_smallest_image_of_a_patchgan():
    critic = patchgan.Discriminator(4, 3, "instance", False, (3, 24, 24))
    assert critic(torch.randn(1, 3, 24, 24)).score.shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match="at least 24 pixels"):
        patchgan.Discriminator(4, 3, "instance", False, (3, 20, 20))


def test_translator_keeps_the_shape_and_treats_images_alone():
    translator = resnet_translator.Generator(4, 1, 0.0, (3, 16, 24))
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    translated = translator(images)
    assert translated.shape == images.shape
    assert translated.abs().max() <= 1
    torch.testing.assert_close(translator(images[:1]), translated[:1])
    assert not list(translator.buffers())


def test_a_residual_block_with_zero_weights_is_the_identity():
    block = resnet_translator.ResidualBlock(4, 0.5)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    hidden = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(hidden), hidden)


def test_dropout_is_noise_while_training_only():
    translator = resnet_translator.Generator(4, 2, 0.5, (3, 16, 16))
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    assert not torch.equal(translator(images), translator(images))
    translator.eval()
    assert torch.equal(translator(images), translator(images))


@pytest.mark.parametrize("sides", [(30, 32), (32, 30), (4, 4)])
def test_translator_refuses_other_sides(sides):
    with pytest.raises(ValueError, match="divisible by 4"):
        resnet_translator.Generator(4, 1, 0.0, (3, *sides))


WIDTHS = [64, 128, 128, 256]


@pytest.mark.parametrize(
    ("widths", "blocks", "pyramid", "count"),
    [
        (WIDTHS, [2, 2, 2, 2], 128, 7_228_419),
        (WIDTHS, [3, 4, 6, 3], 128, 13_274_115),
        ([8, 16, 16, 32], [1, 1, 1, 1], 16, 57_475),
    ],
)
def test_ganilla_parameter_counts(widths, blocks, pyramid, count):
    with torch.device("meta"):
        translator = ganilla.Generator(widths, blocks, pyramid, (3, 256, 256))
        assert parameter_count(translator) == count
        assert translator(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)


def test_ganilla_counts_of_its_parts():
    with torch.device("meta"):
        translator = ganilla.Generator(WIDTHS, [2, 2, 2, 2], 128, (3, 256, 256))
    assert [parameter_count(stage) for stage in translator.stages] == [294_912, 1_114_112, 1_196_032, 4_456_448]
    assert parameter_count(translator.laterals) + parameter_count(translator.head[0]) == 148_032


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 48), (3, 64, 32)])
def test_ganilla_keeps_the_shape_and_treats_images_alone(shape):
    translator = ganilla.Generator([4, 8, 8, 8], [1, 2, 1, 1], 8, shape)
    images = torch.rand(2, *shape) * 2 - 1
    translated = translator(images)
    assert translated.shape == images.shape
    assert translated.abs().max() <= 1
    torch.testing.assert_close(translator(images[:1]), translated[:1])
    assert not list(translator.buffers())


def test_ganilla_reads_every_stage_at_its_resolution():
    translator = ganilla.Generator([4, 8, 8, 16], [1, 1, 1, 1], 8, (3, 64, 64))
    sides = []
    for lateral in translator.laterals:
        lateral.register_forward_hook(lambda module, seen, out: sides.append(out.shape[-1]))
    translated = translator(torch.randn(1, 3, 64, 64))
    assert sides == [32, 16, 8, 4]
    translated.mean().backward()
    assert all(parameter.grad is not None for parameter in translator.parameters())


def test_a_block_concatenates_what_it_sees_with_its_input():
    block = ganilla.Block(4, 4, stride=1)
    hidden = torch.randn(2, 4, 8, 8)
    seen = []
    block.mix.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    assert block(hidden).shape == (2, 4, 8, 8)
    assert torch.equal(seen[0][:, 4:], hidden)  # low-level features pass as they are
    assert ganilla.Block(4, 4, stride=2)(hidden).shape == (2, 4, 4, 4)


def test_ganilla_refuses_other_sides_and_lists_of_unequal_length():
    for sides in ((40, 32), (32, 24), (16, 16)):
        with pytest.raises(ValueError, match="divisible by 16 and at least 32"):
            ganilla.Generator([4] * 4, [1] * 4, 4, (3, *sides))
    with pytest.raises(ValueError, match="got 4 and 3"):
        ganilla.Generator([4] * 4, [1] * 3, 4, (3, 32, 32))


@pytest.mark.parametrize(
    ("translator", "multiple", "least"),
    [
        (resnet_translator.Generator(4, 1, 0.0, (3, 8, 12)), 4, 8),
        (ganilla.Generator([4] * 4, [1] * 4, 4, (3, 32, 48)), 16, 32),
    ],
)
def test_translators_say_which_sides_they_take(translator, multiple, least):
    assert (translator.multiple, translator.least) == (multiple, least)
    for side in (least, least + multiple):
        assert translator(torch.zeros(1, 3, side, least)).shape == (1, 3, side, least)
