import pytest
import torch

from ganrun.core.types import parameter_count
from ganrun.networks import patchgan, unet


def translator(width=4, halvings=None, norm="instance", dropout=2, noise=False, planes=0, shape=(3, 16, 16)):
    torch.manual_seed(0)
    return unet.Generator(width, halvings, norm, dropout, noise, planes, shape)


@pytest.mark.parametrize(("norm", "count"), [("batch", 54_413_955), ("instance", 54_409_603)])
def test_published_parameter_counts(norm, count):
    with torch.device("meta"):
        network = translator(64, None, norm, shape=(3, 256, 256))
        assert parameter_count(network) == count
        assert network(torch.empty(1, 3, 256, 256)).shape == (1, 3, 256, 256)
    assert len(network.downs) == len(network.ups) == 8


def test_conditional_patchgan_parameter_counts():
    with torch.device("meta"):
        critic = patchgan.ConditionalDiscriminator(64, 3, "batch", False, 3, (3, 256, 256))
        assert parameter_count(critic) == 2_768_705
        output = critic(torch.empty(1, 3, 256, 256), torch.empty(1, 3, 256, 256))
    assert output.score.shape == (1, 1, 30, 30)


@pytest.mark.parametrize(
    ("shape", "halvings"), [((3, 64, 64), 6), ((3, 48, 80), 4), ((1, 512, 512), 8), ((3, 2, 2), 1)]
)
def test_depth_by_size(shape, halvings):
    network = translator(shape=shape)
    assert len(network.downs) == halvings
    assert network.multiple == network.least == 2**halvings
    images = torch.rand(2, *shape) * 2 - 1
    assert network(images).shape == images.shape


def test_other_sizes_pass_and_smaller_ones_are_refused():
    network = translator(halvings=3)
    assert network(torch.rand(1, 3, 24, 40)).shape == (1, 3, 24, 40)
    with pytest.raises(ValueError, match=r"halvings=5 needs sides divisible by 32; got \[16, 16\]"):
        translator(halvings=5)
    with pytest.raises(ValueError, match="divisible by"):
        translator(shape=(3, 15, 15))


def test_images_of_a_batch_do_not_see_each_other():
    network, images = translator(), torch.rand(3, 3, 16, 16)
    network.eval()
    torch.testing.assert_close(network(images)[:1], network(images[:1]))


def test_label_maps_are_one_plane_per_class():
    network = translator(planes=5)
    maps = torch.randint(5, (2, 16, 16))
    network.eval()
    one_hot = torch.nn.functional.one_hot(maps, 5).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(network(maps), network(one_hot))


def test_dropout_is_the_only_noise_and_an_option_in_evaluation():
    images = torch.rand(1, 3, 16, 16)
    silent, noisy, none = translator(noise=False), translator(noise=True), translator(dropout=0, noise=True)
    assert not torch.equal(silent(images), silent(images))
    for network in (silent, noisy, none):
        network.eval()
    assert torch.equal(silent(images), silent(images))
    assert not torch.equal(noisy(images), noisy(images))
    assert torch.equal(none(images), none(images))


def test_dropout_keeps_the_mean():
    ones = torch.ones(100_000)
    dropped = unet.Dropout(True).eval()(ones)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean() == pytest.approx(1.0, abs=0.02)


def test_details_pass_beside_the_bottleneck():
    """A single pixel reaches the output even where the bottleneck is silenced."""
    network = translator(dropout=0, norm="none").eval()
    torch.nn.init.zeros_(network.ups[0][0].weight)
    image = torch.zeros(1, 3, 16, 16)
    change = image.clone()
    change[0, :, 8, 8] = 1.0
    assert (network(change) - network(image)).abs().max() > 0


def test_the_conditional_critic_sees_the_source_and_its_place():
    torch.manual_seed(0)
    critic = patchgan.ConditionalDiscriminator(4, 1, "none", False, 3, (3, 16, 16))
    images, source = torch.rand(2, 2, 3, 16, 16)
    score = critic(images, source).score
    assert not torch.equal(score, critic(images, source.flip(3)).score)
    plain = patchgan.Discriminator(4, 1, "none", False, (6, 16, 16))
    plain.load_state_dict(critic.state_dict())
    torch.testing.assert_close(score, plain(torch.cat([source, images], 1)).score)
    with pytest.raises(ValueError, match="needs a condition"):
        critic(images)
