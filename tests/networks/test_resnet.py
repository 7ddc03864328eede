"""Residual and plain networks of WGAN-GP, SN-GAN, the average-pooling recipe and R3GAN."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from ganrun.core.types import parameter_count
from ganrun.losses.base import couples_samples
from ganrun.networks import r3gan, residual, resnet, sngan_cnn
from ganrun.networks.layers.condition import ConditionalNorm
from ganrun.networks.layers.resample import Resample

CONDITIONAL = {"conditional": True, "classes": 10}
PLAIN = {"conditional": False, "classes": 10, "channels": 3}
G_OPTIONS = {"norm": "batch", "reference_size": 5, "spectral": False, "init": "xavier", "conditioning": "concat"}
D_OPTIONS = {"norm": "none", "spectral": False, "init": "xavier", "conditioning": "concat"}


def resnet_generator(size, widths, **changes):
    options = PLAIN | G_OPTIONS | {"latent_size": 128, "hidden_bias": True}
    return resnet.Generator(size=size, widths={str(size): widths}, **options | changes)


def resnet_discriminator(size, widths, halvings, **changes):
    options = PLAIN | D_OPTIONS | {"stem": "block", "hidden_bias": True, "pooling": "sum", "head_bias": True}
    table = {"widths": {str(size): widths}, "halvings": {str(size): halvings}}
    return resnet.Discriminator(size=size, **table, **options | changes)


def cnn_generator(size=32, width=64, **changes):
    return sngan_cnn.Generator(size=size, width=width, latent_size=128, **PLAIN | G_OPTIONS | changes)


def cnn_discriminator(size=32, width=64, **changes):
    return sngan_cnn.Discriminator(size=size, width=width, **PLAIN | D_OPTIONS | changes)


RECIPE = {"activation": "relu", "residual_scale": 0.1, "learned_scale": False, "norm": "none", "init": "default"}


def recipe_generator(size, width=64, max_width=512, latent_size=128, **changes):
    options = PLAIN | RECIPE | {"upsampling": "nearest", "spectral": False, "conditioning": "concat"}
    return residual.Generator(latent_size, width, max_width, size=size, **options | changes)


def recipe_discriminator(size, width=64, max_width=512, **changes):
    options = PLAIN | RECIPE | {"spectral": False, "conditioning": "concat"}
    return residual.Discriminator(width, max_width, size=size, **options | changes)


def r3gan_generator(widths, latent_size=64, **changes):
    size = 4 * 2 ** (len(widths) - 1)
    options = PLAIN | {"blocks": 2, "group_width": 16, "embedding_size": 64, "size": size}
    return r3gan.Generator(latent_size, {str(size): widths}, **options | changes)


def r3gan_discriminator(widths, **changes):
    size = 4 * 2 ** (len(widths) - 1)
    options = PLAIN | {"blocks": 2, "group_width": 16, "embedding_size": 768, "size": size}
    return r3gan.Discriminator({str(size): widths}, **options | changes)


def counts(*networks):
    return [parameter_count(network) for network in networks]


def test_counts_of_wgan_gp():
    wide = [512, 512, 256, 128, 64]
    class_norm, classifier = {"conditioning": "batch_norm"} | CONDITIONAL, {"conditioning": "classifier"} | CONDITIONAL
    with torch.device("meta"):
        assert counts(
            resnet_generator(32, [128] * 4),
            resnet_generator(32, [128] * 4, **class_norm),
            resnet_discriminator(32, [128] * 4, 2, pooling="mean"),
            resnet_discriminator(32, [128] * 4, 2, pooling="mean", **classifier),
            resnet_generator(64, wide, hidden_bias=False),
            resnet_discriminator(64, [64, 128, 256, 512, 512], 4, **FLAT),
        ) == [1_204_483, 1_218_307, 1_053_825, 1_055_115, 8_540_483, 7_491_841]


def test_counts_of_sngan():
    projection = {"conditioning": "projection"} | CONDITIONAL
    with torch.device("meta"):
        assert counts(
            resnet_generator(32, [256] * 4),
            resnet_generator(32, [256] * 4, conditioning="batch_norm", **CONDITIONAL),
            resnet_generator(64, [1024, 512, 256, 128, 64]),
            resnet_generator(128, [1024, 1024, 512, 256, 128, 64]),
            cnn_generator(),
        ) == [4_276_739, 4_304_387, 12_220_675, 32_150_787, 3_812_355]
        assert counts(
            resnet_discriminator(32, [128] * 4, 2, spectral=True, head_bias=False),
            resnet_discriminator(32, [128] * 4, 2, spectral=True, head_bias=False, **projection),
            resnet_discriminator(64, [64, 128, 256, 512, 1024], 5, spectral=True),
            resnet_discriminator(128, [64, 128, 256, 512, 1024, 1024], 5, spectral=True),
            cnn_discriminator(spectral=True),
        ) == [1_053_824, 1_055_104, 10_141_441, 29_017_857, 2_935_873]


def test_counts_of_the_recipe():
    with torch.device("meta"):
        assert counts(*(recipe_generator(size) for size in (32, 64, 128))) == [3_627_715, 8_347_331, 13_066_947]
        assert counts(*(recipe_discriminator(size) for size in (32, 64, 128))) == [2_579_649, 7_299_265, 12_018_881]
        for norm in ("batch", "instance"):
            networks = recipe_generator(32, norm=norm), recipe_discriminator(32, norm=norm)
            assert counts(*networks) == [3_630_659, 2_581_697]
        small = recipe_generator(16, 8, 64, 32), recipe_discriminator(16, 8, 64)
        assert counts(*small) == [27_611, 11_257]
        assert counts(recipe_generator(16, 8, 64, 32, learned_scale=True)) == [27_611 + 3]
        assert counts(recipe_discriminator(16, 8, 64, learned_scale=True)) == [11_257 + 3]


def test_counts_of_r3gan():
    cifar, ffhq = [768] * 4, [768, 768, 768, 768, 384]
    with torch.device("meta"):
        assert counts(r3gan_generator(cifar), r3gan_discriminator(cifar)) == [20_732_160, 20_683_776]
        conditional = r3gan_generator(cifar, **CONDITIONAL), r3gan_discriminator(cifar, **CONDITIONAL)
        assert counts(*conditional) == [20_781_952, 21_280_512]
        assert counts(r3gan_generator(ffhq), r3gan_discriminator(ffhq)) == [22_429_824, 22_381_440]
        small = {"blocks": 1}
        assert counts(r3gan_generator([48, 48, 32], 16, **small), r3gan_discriminator([48, 48, 32], **small)) == [
            63_072,
            62_352,
        ]


FLAT = {"stem": "convolution", "norm": "layer", "hidden_bias": False, "pooling": "flatten"}
GENERATORS = {
    "resnet32": (32, lambda **options: resnet_generator(32, [8] * 4, **options)),
    "resnet64": (64, lambda **options: resnet_generator(64, [8, 8, 4, 4, 4], **options)),
    "cnn": (16, lambda **options: cnn_generator(16, 4, **options)),
    "recipe": (16, lambda **options: recipe_generator(16, 4, 8, **{"norm": "batch"} | options)),
}
DISCRIMINATORS = {
    "resnet32": (32, lambda **options: resnet_discriminator(32, [8] * 4, 2, **options)),
    "resnet32_mean": (32, lambda **options: resnet_discriminator(32, [8] * 4, 2, pooling="mean", **options)),
    "resnet64": (64, lambda **options: resnet_discriminator(64, [4, 4, 8, 8, 8], 5, **options)),
    "resnet64_flat": (*(64, lambda **options: resnet_discriminator(64, [4, 8, 8, 8, 8], 4, **FLAT | options)),),
    "cnn": (16, lambda **options: cnn_discriminator(16, 4, **options)),
    "recipe": (16, lambda **options: recipe_discriminator(16, 4, 8, **options)),
}
each_generator = pytest.mark.parametrize(("size", "make"), GENERATORS.values(), ids=GENERATORS)
each_discriminator = pytest.mark.parametrize(("size", "make"), DISCRIMINATORS.values(), ids=DISCRIMINATORS)


@each_generator
@pytest.mark.parametrize("conditioning", [None, "concat", "batch_norm"])
def test_generators_make_images_of_their_labels(size, make, conditioning):
    torch.manual_seed(0)
    network = make(conditional=bool(conditioning), conditioning=conditioning or "batch_norm", classes=3).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, ConditionalNorm):
                module.gain.normal_(1, 0.5)
    z, labels = torch.randn(3, 128), torch.tensor([0, 1, 2])
    images = network(z, labels if conditioning else None)
    assert images.shape == (3, 3, size, size)
    assert images.abs().max() <= 1
    torch.testing.assert_close(images[:1], network(z[:1], labels[:1]), rtol=1e-3, atol=1e-4)
    assert torch.equal(images, network(z, labels.flip(0))) == (conditioning is None)


@each_generator
def test_class_norms_start_as_plain_ones(size, make):
    networks = []
    for conditional in (False, True):
        torch.manual_seed(0)
        networks.append(make(conditional=conditional, conditioning="batch_norm", classes=3, init="orthogonal"))
    z = torch.randn(4, 128)
    torch.testing.assert_close(networks[1](z, torch.tensor([0, 1, 2, 1])), networks[0](z))


@pytest.mark.parametrize("name", ["resnet32", "cnn"])
@pytest.mark.parametrize("conditioning", [None, "concat", "batch_norm"])
def test_virtual_batch_norm_keeps_samples_apart(name, conditioning):
    torch.manual_seed(0)
    options = {"conditional": bool(conditioning), "conditioning": conditioning or "concat", "classes": 3}
    network = GENERATORS[name][1](norm="virtual", **options)
    z, labels = torch.randn(3, 128), torch.tensor([0, 1, 2])
    images = network(z, labels if conditioning else None)
    torch.testing.assert_close(images[:1], network(z[:1], labels[:1]), rtol=1e-3, atol=1e-5)


@each_discriminator
@pytest.mark.parametrize("conditioning", ["concat", "projection", "classifier"])
def test_discriminators_judge_samples_apart(size, make, conditioning):
    torch.manual_seed(0)
    network = make(conditional=True, conditioning=conditioning, classes=3)
    images, labels = torch.randn(3, 3, size, size), torch.tensor([0, 1, 2])
    output = network(images, labels)
    assert output.score.shape == (3,)
    assert (output.class_logits is None) == (conditioning != "classifier")
    assert not couples_samples(network)
    torch.testing.assert_close(output.score[:1], network(images[:1], labels[:1]).score, rtol=1e-4, atol=1e-5)
    assert torch.equal(output.score, network(images, labels.flip(0)).score) == (conditioning == "classifier")


@each_discriminator
def test_the_head_reads_the_last_features(size, make):
    torch.manual_seed(0)
    network = make()
    features = network(torch.randn(3, 3, size, size)).features[-1]
    pooling = getattr(network, "pooling", "flatten")
    pooled = {"sum": features.sum((2, 3)), "mean": features.mean((2, 3)), "flatten": features.flatten(1)}[pooling]
    score = pooled @ network.head.weight[0] + network.head.bias
    torch.manual_seed(0)
    again = make()
    torch.testing.assert_close(again(torch.randn(3, 3, size, size)).score, score)


@each_discriminator
@pytest.mark.parametrize("spectral", [False, True])
def test_projection_of_zero_embeddings_is_the_unconditional_score(size, make, spectral):
    networks = []
    for conditional in (False, True):
        torch.manual_seed(0)
        networks.append(make(conditional=conditional, conditioning="projection", classes=3, spectral=spectral).eval())
    plain, network = networks
    network.load_state_dict(plain.state_dict(), strict=False)
    table = network.projection.embedding
    with torch.no_grad():
        (table.parametrizations.weight.original if spectral else table.weight).zero_()
    images = torch.randn(3, 3, size, size)
    assert torch.equal(network(images, torch.tensor([0, 1, 2])).score, plain(images).score)


@each_discriminator
def test_spectral_norms_become_one(size, make):
    torch.manual_seed(0)
    network = make(spectral=True, conditional=True, conditioning="projection", classes=3)
    images, labels = torch.randn(1, 3, size, size), torch.zeros(1, dtype=torch.long)
    for _ in range(30):
        network(images, labels)
    layers = [module for module in network.modules() if hasattr(module, "parametrizations")]
    assert len(layers) == sum(isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding) for m in network.modules())
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() == pytest.approx(1.0, abs=0.02)


def test_blocks_pool_and_project_in_the_published_order():
    """Pool and 1x1 commute, as nearest neighbours and 1x1 do: the cheaper order gives the same."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, 8, 8)
    block = resnet.Block(3, 3, 5, "none", True, halve=True)
    branch = block.branch[1](torch.relu(block.branch[0](torch.relu(images))))
    torch.testing.assert_close(block(images), avg_pool2d(branch, 2) + avg_pool2d(block.shortcut(images), 2))
    up = resnet.UpBlock(3, 5, (nn.Identity(), nn.Identity()), True)
    double = nn.Upsample(scale_factor=2)
    branch = up.branch[1](torch.relu(up.branch[0](double(torch.relu(images)))))
    torch.testing.assert_close(up(images), branch + up.shortcut(double(images)))


def test_initial_weights_of_residual_branches_are_larger():
    torch.manual_seed(0)
    network = resnet_generator(32, [64] * 4)
    for block in network.layers[2:5]:
        for convolution in block.branch:
            assert convolution.weight.std().item() == pytest.approx((4 / (2 * 64 * 9)) ** 0.5, rel=0.03)
        assert block.shortcut.weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.05)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_recipe_scales_its_branches(mode):
    torch.manual_seed(0)
    block = residual.Block(3, 5, "none", 0, "relu", 0.25, learned=True)
    hidden = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(block(hidden) - block.shortcut(hidden), 0.25 * block.branch(hidden))
    with torch.no_grad():
        block.scale.zero_()
    torch.testing.assert_close(block(hidden), block.shortcut(hidden))
    assert recipe_generator(16, 4, 8, upsampling=mode)(torch.randn(2, 128)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resnet_generator(32, [8] * 3), "3 widths make 16 pixels of 4; got 32"),
        (lambda: resnet_discriminator(32, [8] * 2, 3), "2 widths and 32 pixels do not allow 3 halvings"),
        (lambda: cnn_generator(20), "divisible by 8; got 20"),
        (lambda: cnn_discriminator(4), "divisible by 8; got 4"),
        (lambda: recipe_generator(24), "got 24"),
        (lambda: recipe_discriminator(4), "got 4"),
        (lambda: r3gan_generator([8, 8], size=16), "holds layouts for 8 pixels; got 16"),
        (lambda: r3gan_discriminator([8, 9], group_width=16), "group_width=16 does not divide the 18 inner channels"),
        (lambda: recipe_generator(16, conditioning="batch_norm", **CONDITIONAL), "norm is none"),
    ],
)
def test_impossible_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_size_without_a_layout_is_refused():
    options = PLAIN | G_OPTIONS | {"latent_size": 8, "hidden_bias": True}
    with pytest.raises(ValueError, match=r"widths holds layouts for 32, 64 pixels; got 16: add widths\.16"):
        resnet.Generator(size=16, widths={"32": [8] * 4, "64": [8] * 5}, **options)


def test_r3gan_blocks_start_as_the_identity():
    torch.manual_seed(0)
    block = r3gan.Block(8, 4, 0.5)
    hidden = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(hidden), hidden)
    assert block.layers[0].weight.std().item() == pytest.approx(0.5 / 8**0.5, rel=0.2)
    make = r3gan_generator([8, 8, 8], 5)
    z = torch.randn(3, 5)
    basis = make.basis * make.weights(z)[:, :, None, None]
    expected = make.layers[-1](Resample((1, 2, 1), up=True)(Resample((1, 2, 1), up=True)(basis)))
    torch.testing.assert_close(make(z), expected)


def test_r3gan_discriminator_starts_without_its_blocks():
    torch.manual_seed(0)
    judge = r3gan_discriminator([8, 8, 4], group_width=8)
    images = torch.randn(3, 3, 16, 16)
    stem = judge.stages[0][0](images)
    down = Resample((1, 2, 1), up=False)
    (match,) = (layer for layer in judge.stages[1] if isinstance(layer, nn.Conv2d))
    collected = judge.collect(down(match(down(stem)))).flatten(1)
    torch.testing.assert_close(judge(images).score, judge.head(collected).flatten())


def test_r3gan_branches_are_scaled_by_the_number_of_blocks():
    """``√(2 / 1.04) L^(-1/4) / √fan-in`` with L = 4 blocks in all; the last convolution is zero."""
    torch.manual_seed(0)
    network = r3gan_generator([64, 64], blocks=2)
    blocks = [module for module in network.modules() if isinstance(module, r3gan.Block)]
    assert len(blocks) == 4
    for block in blocks:
        for layer, fan_in in ((block.layers[0], 64), (block.layers[2], 16 * 9)):
            assert layer.weight.std().item() == pytest.approx((2 / 1.04 / 4**0.5 / fan_in) ** 0.5, rel=0.05)
        assert not block.layers[4].weight.any()


def test_r3gan_resampling():
    line = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 1, 3).expand(2, 3, 3, 3)
    up = Resample((1, 2, 1), up=True)(line)
    assert up[1, 2, 0].tolist() == [1.0, 1.5, 2.0, 3.0, 4.0, 2.0]
    assert up[1, 2, -1].tolist() == [0.5, 0.75, 1.0, 1.5, 2.0, 1.0]  # zeros beyond the border
    down = Resample((1, 2, 1), up=False)(torch.ones(1, 2, 4, 4))
    assert down[0, 1].tolist() == [[0.5625, 0.75], [0.75, 1.0]]
    assert not Resample((1, 2, 1), up=True).state_dict()


@pytest.mark.parametrize("conditional", [False, True])
def test_r3gan_judges_samples_apart_and_by_label(conditional):
    torch.manual_seed(0)
    options = {"conditional": conditional, "classes": 3, "embedding_size": 6}
    make, judge = r3gan_generator([8, 8, 4], 5, group_width=8, **options), r3gan_discriminator([8, 8, 8], **options)
    z, labels = torch.randn(3, 5), torch.tensor([0, 1, 2])
    images = make(z, labels)
    assert images.shape == (3, 3, 16, 16)
    assert torch.equal(images, make(z, labels.flip(0))) != conditional
    output = judge(images, labels)
    assert [tuple(feature.shape[1:]) for feature in output.features] == [(8, 16, 16), (8, 8, 8), (8, 4, 4)]
    torch.testing.assert_close(judge(images[:1], labels[:1]).score, output.score[:1])
    assert torch.equal(output.score, judge(images, labels.flip(0)).score) != conditional
    if conditional:
        with pytest.raises(ValueError, match="was given no labels"):
            judge(images)
