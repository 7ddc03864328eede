"""Networks of VAE-GAN, BiGAN, ALI and BEGAN: published counts, sizes, what is judged and what is handed out."""

import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.losses.base import couples_samples
from ganrun.networks import ali, began, bigan, dcgan, vaegan

PLAIN = {"conditional": False, "classes": 3}


def vaegan_trio(size, latent, decoder, judge, channels=3, encoder=(64, 128, 256), hidden=(1024, 512), **changes):
    common = {"norm": "batch", "init": "default", "size": size, "channels": channels} | PLAIN | changes
    return (
        vaegan.Encoder(latent, encoder, hidden[0], **common),
        vaegan.Generator(latent, decoder[0], decoder[1:], **common),
        vaegan.Discriminator(judge[0], judge[1:], hidden[1], spectral=False, **common),
    )


def small_vaegan(size=32, **changes):
    return vaegan_trio(size, 5, (4, 6, 5, 3), (3, 4, 5, 6), 3, (4, 5, 6), (7, 8), **changes)


def bigan_trio(shape=(1, 28, 28), latent=50, widths=(1024, 1024), norm="batch", stochastic=False, **changes):
    common = {"widths": widths, "norm": norm, "init": "default", "shape": shape} | PLAIN | changes
    return (
        bigan.Generator(latent, output="tanh", **common),
        bigan.Encoder(latent, stochastic=stochastic, **common),
        bigan.Discriminator(latent, spectral=False, **common),
    )


def ali_trio(latent=64, width=32, size=32, channels=3, bias=False):
    return (
        ali.Encoder(latent, width, 0.01, size, channels),
        ali.Generator(latent, width, 0.01, size, channels),
        ali.Discriminator(latent, width, 0.2, 0.5, bias, 0.01, size, channels),
    )


def joint(size=16, latent=5, norm="batch", spectral=False, **changes):
    options = PLAIN | changes
    return bigan.ConvolutionalDiscriminator(
        latent, 4, 6, [7], norm, spectral, "normal", size=size, channels=3, **options
    )


@pytest.mark.parametrize(
    ("make", "counts"),
    [
        (lambda: vaegan_trio(64, 128, (256, 256, 128, 32), (32, 128, 256, 256)), (18_071_360, 4_693_155, 10_953_857)),
        (lambda: vaegan_trio(32, 256, (256, 192, 128, 32), (32, 128, 192, 256)), (5_750_848, 3_005_475, 4_047_873)),
        (bigan_trio, (1_909_520, 1_906_738, 1_907_713)),
        (ali_trio, (3_118_496, 978_083, 2_607_968)),
    ],
)
def test_published_counts(make, counts):
    with torch.device("meta"):
        assert tuple(map(parameter_count, make())) == counts


def test_the_papers_encoder_is_wider():
    with torch.device("meta"):
        encoder, *_ = vaegan_trio(64, 128, (256, 256, 128, 32), (32, 128, 256, 256), hidden=(2048, 512))
    assert parameter_count(encoder) == 35_112_768


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_sizes_of_vaegan(size):
    encoder, generator, discriminator = small_vaegan(size)
    images = torch.randn(2, 3, size, size)
    assert encoder(images).shape == (2, 10)
    assert generator(torch.randn(2, 5)).shape == images.shape
    output = discriminator(images)
    assert output.score.shape == (2,)
    assert [tuple(feature.shape[1:]) for feature in output.features] == [
        *((3, size, size), (4, size // 2, size // 2), (5, size // 4, size // 4), (6, size // 8, size // 8), (8,))
    ]


def test_the_compared_layer_is_the_last_convolution_before_its_norm():
    *_, discriminator = small_vaegan()
    output = discriminator(torch.randn(4, 3, 32, 32))
    features = discriminator.blocks[3](output.features[2])
    torch.testing.assert_close(output.features[3], features)  # nothing after it worked in place
    assert output.features[3].min() < 0


def test_without_batch_norm_samples_stay_apart():
    *_, discriminator = small_vaegan(norm="none")
    assert not couples_samples(discriminator)
    *_, discriminator = bigan_trio((2,), 2, (8, 8), "none")
    assert not couples_samples(discriminator)
    assert not couples_samples(joint(norm="none"))
    assert not couples_samples(ali_trio(4, 4)[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small_vaegan(20), "VAE-GAN's 3 halvings need a size divisible by 8; got 20"),
        (lambda: ali_trio(size=28), "ALI's networks are made for 32 pixels; got 28"),
        (lambda: began.Generator(4, 4, size=12, channels=3, **PLAIN), "BEGAN makes square images of 8, 16"),
        (lambda: joint(12), "DCGAN makes square images"),
    ],
)
def test_impossible_sizes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 5, 7)])
def test_dense_networks_take_any_shape(shape):
    generator, encoder, discriminator = bigan_trio(shape, 4, (6, 6), stochastic=True)
    x, z = generator(torch.randn(3, 4)), torch.randn(3, 4)
    assert x.shape == (3, *shape)
    assert encoder(x).shape == (3, 8)
    assert discriminator(torch.cat([x.flatten(1), z], 1)).score.shape == (3,)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_convolutional_networks_take_a_pair(size):
    encoder = dcgan.Encoder(5, 4, "batch", "normal", False, size=size, channels=3, **PLAIN)
    images = torch.randn(2, 3, size, size)
    z = encoder(images)
    assert z.shape == (2, 5)
    assert joint(size)(torch.cat([images.flatten(1), z], 1)).score.shape == (2,)


@pytest.mark.parametrize("make", [lambda: joint(32, norm="none"), lambda: ali_trio(5, 4)[2].eval()])
def test_a_score_hangs_on_both_parts(make):
    torch.manual_seed(0)
    pairs = torch.randn(2, 3 * 32 * 32 + 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(make()(pairs).score.sum(), pairs)
    assert (gradient[:, :-5].abs().sum(1) > 0).all()
    assert (gradient[:, -5:].abs().sum(1) > 0).all()


def test_maxout_takes_the_larger_of_neighbours():
    hidden = torch.tensor([1.0, 5.0, -3.0, -4.0]).view(1, 4, 1, 1)
    assert ali.Maxout()(hidden).flatten().tolist() == [5.0, -3.0]


def test_labels_reach_every_network():
    torch.manual_seed(0)
    one, other = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    images, z = torch.randn(2, 3, 16, 16), torch.randn(2, 5)
    pairs = torch.cat([images.flatten(1), z], 1)
    encoder, generator, discriminator = small_vaegan(16, conditional=True, norm="none")
    _, _, dense = bigan_trio((3, 16, 16), 5, (6, 6), "none", conditional=True)
    convolutional = dcgan.Encoder(5, 4, "none", "normal", False, True, 16, 3, 3)
    for network, inputs in ((encoder, images), (generator, z), (convolutional, images)):
        assert not torch.allclose(network(inputs, one), network(inputs, other))
    for network, inputs in ((discriminator, images), (dense, pairs), (joint(norm="none", conditional=True), pairs)):
        assert not torch.allclose(network(inputs, one).score, network(inputs, other).score)


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_began(size):
    width, code, channels, sizes = 4, 6, 3, (size // 8).bit_length()
    generator = began.Generator(code, width, size=size, channels=channels, **PLAIN)
    discriminator = began.Discriminator(code, width, "mean_absolute", size=size, channels=channels, **PLAIN)
    convolution = lambda narrow, wide: 9 * narrow * wide + wide  # noqa: E731
    decoder = (code + 1) * 64 * width + 2 * sizes * convolution(width, width) + convolution(width, channels)
    encoder = convolution(channels, width) + (64 * width * sizes + 1) * code
    for index in range(sizes):
        narrow, wide = width * max(index, 1), width * (index + 1)
        encoder += convolution(narrow, wide) + convolution(wide, wide) * (2 if index < sizes - 1 else 1)
    assert parameter_count(generator) == decoder
    assert parameter_count(discriminator) == encoder + decoder
    images = generator(torch.rand(2, code))
    output = discriminator(images)
    assert images.shape == output.reconstruction.shape == (2, channels, size, size)
    torch.testing.assert_close(output.score, -(images - output.reconstruction).abs().mean((1, 2, 3)))
    assert output.features[0].shape == (2, code)
