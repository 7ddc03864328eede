import pytest
import torch
from torch.nn.utils import parametrize

from ganrun.core.types import parameter_count
from ganrun.networks import spade


def generator(width=4, stages=(2, 1), upsampling="normal", norm="batch", latent=0, planes=3, shape=(3, 16, 16)):
    torch.manual_seed(0)
    return spade.Generator(width, list(stages), upsampling, 8, norm, latent, 1.0, planes, shape)


def discriminator(width=4, layers=2, scales=2, norm="instance", spectral=True, planes=3, shape=(3, 16, 16)):
    torch.manual_seed(0)
    return spade.Discriminator(width, layers, scales, norm, spectral, 1.0, planes, shape)


@pytest.mark.parametrize(
    ("planes", "shape", "upsampling", "plain", "with_styles", "critics"),
    [
        (184, (3, 256, 256), "normal", 97_480_899, 112_626_883, 5_904_514),  # COCO-Stuff
        (151, (3, 256, 256), "normal", 96_492_483, 111_942_595, None),  # ADE20K
        (36, (3, 256, 512), "more", 93_048_003, None, None),  # Cityscapes
        (13, (3, 256, 256), "normal", 92_359_107, 109_081_027, 5_554_306),  # facades
    ],
)
def test_published_parameter_counts(planes, shape, upsampling, plain, with_styles, critics):
    paper = (64, [8, 4, 2, 1], upsampling, 128, "batch")
    with torch.device("meta"):
        assert parameter_count(spade.Generator(*paper, 0, 0.02, planes, shape)) == plain
        if with_styles:
            assert parameter_count(spade.Generator(*paper, 256, 0.02, planes, shape)) == with_styles
        if critics:
            assert parameter_count(spade.Discriminator(64, 3, 2, "instance", True, 0.02, planes, shape)) == critics


def test_published_encoder():
    with torch.device("meta"):
        encoder = spade.Encoder(64, [1, 2, 4, 8, 8, 8], 256, 256, 0.02, 3)
        assert parameter_count(encoder) == 10_463_424
        assert encoder(torch.empty(2, 3, 64, 64)).shape == (2, 512)


def test_two_scales_of_scores_and_the_features_of_both():
    with torch.device("meta"):
        critic = spade.Discriminator(64, 3, 2, "instance", True, 0.02, 13, (3, 256, 256))
        output = critic(torch.empty(1, 3, 256, 256), torch.empty(1, 13, 256, 256))
    assert [tuple(score.shape[2:]) for score in output.scores] == [(35, 35), (19, 19)]
    assert [feature.shape[1] for feature in output.features] == [64, 128, 256, 512] * 2


@pytest.mark.parametrize(("upsampling", "multiple"), [("normal", 32), ("more", 64), ("most", 128)])
def test_sizes(upsampling, multiple):
    network = generator(stages=(8, 4, 2, 1), upsampling=upsampling, shape=(3, multiple, 2 * multiple))
    assert (network.multiple, network.least) == (multiple, 2 * multiple)
    layout = torch.rand(2, 3, multiple, 2 * multiple)
    assert network(layout).shape == (2, 3, multiple, 2 * multiple)
    for sides in ((multiple, multiple), (multiple, multiple * 3 // 2)):
        with pytest.raises(ValueError, match=f"multiples of {multiple}, at least one of them {2 * multiple}"):
            generator(stages=(8, 4, 2, 1), upsampling=upsampling, shape=(3, *sides))


def test_without_styles_other_sizes_pass():
    network = generator().eval()
    assert network(torch.rand(1, 3, 24, 40)).shape == (1, 3, 24, 40)


def test_spade_by_hand():
    """Where the layout says nothing, it is the plain norm; otherwise gain and bias of every pixel come from it."""
    torch.manual_seed(0)
    layer = spade.SpatialNorm(4, 3, 8, "batch")
    hidden, layout = torch.randn(5, 4, 6, 6), torch.rand(5, 3, 12, 12)
    normal = (hidden - hidden.mean((0, 2, 3), keepdim=True)) / hidden.var((0, 2, 3), correction=0, keepdim=True).sqrt()
    seen = layer.shared(layout[:, :, ::2, ::2])  # the nearest pixel
    expected = normal * (1 + layer.gain(seen)) + layer.bias(seen)
    torch.testing.assert_close(layer(hidden, layout), expected, rtol=1e-3, atol=1e-4)
    for part in (layer.gain, layer.bias):
        torch.nn.init.zeros_(part.weight)
        torch.nn.init.zeros_(part.bias)
    torch.testing.assert_close(layer(hidden, layout), normal, rtol=1e-3, atol=1e-4)
    assert not list(layer.normalise.parameters())


@pytest.mark.parametrize("latent", [0, 5])
def test_label_maps_and_their_planes_are_the_same(latent):
    network = generator(latent=latent).eval()
    maps, z = torch.randint(3, (2, 16, 16)), torch.randn(2, 5)
    one_hot = torch.nn.functional.one_hot(maps, 3).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(network(maps, z), network(one_hot, z))


def test_the_layout_steers_every_block_and_the_style_the_whole():
    network = generator(latent=5).eval()
    maps, z = torch.zeros(1, 16, 16, dtype=torch.long), torch.randn(1, 5)
    changed = maps.clone()
    changed[0, 3, 3] = 1  # seen at full resolution only
    difference = (network(changed, z) - network(maps, z)).abs().sum(1)[0]
    assert difference[3, 3] > 0
    assert difference[12:, 12:].max() == 0
    assert ((network(maps, torch.randn(1, 5)) - network(maps, z)).abs().sum(1) > 0).all()
    with pytest.raises(ValueError, match="given none"):
        network(maps)


def test_what_is_spectrally_normalised():
    network = generator()
    normalised = {name for name, module in network.named_modules() if parametrize.is_parametrized(module)}
    counts = (2, 2, 2, 3, 3)  # the last blocks halve the channels, and so have a shortcut
    assert normalised == {f"blocks.{k}.convolutions.{i}" for k, count in enumerate(counts) for i in range(count)}
    critic = discriminator()
    convolutions = [m for c in critic.critics for b in c.blocks for m in b if isinstance(m, torch.nn.Conv2d)]
    assert [parametrize.is_parametrized(m) for m in convolutions] == [False, True, True] * 2
    assert not any(parametrize.is_parametrized(critic.head) for critic in critic.critics)
    assert not any(parametrize.is_parametrized(m) for m in discriminator(spectral=False).modules())


def test_the_critic_judges_samples_alone_and_sees_the_layout():
    critic = discriminator().eval()
    images, maps = torch.rand(3, 3, 16, 16), torch.randint(3, (3, 16, 16))
    together, alone = critic(images, maps), critic(images[:1], maps[:1])
    for one, other in zip(together.scores, alone.scores, strict=True):
        torch.testing.assert_close(one[:1], other)
    assert not torch.equal(together.score, critic(images, maps.flip(2)).score)


def test_encoder_sizes():
    encoder = spade.Encoder(4, [1, 2, 4], 16, 5, 1.0, 3)
    assert encoder(torch.rand(2, 3, 40, 24)).shape == (2, 10)
    for side in (12, 8):
        with pytest.raises(ValueError, match=f"side={side} must be a multiple of 8, and at least twice that"):
            spade.Encoder(4, [1, 2, 4], side, 5, 1.0, 3)
