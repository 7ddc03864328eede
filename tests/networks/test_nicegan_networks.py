import pytest
import torch
from torch import nn
from torch.nn.functional import leaky_relu

from ganrun.core.types import parameter_count
from ganrun.networks.layers.instance_layer_norm import ILN, AdaLIN, InstanceLayerMix
from ganrun.networks.nicegan import Attention, Discriminator, Encoder, Generator


@pytest.mark.parametrize(
    ("light", "size", "count"),
    [
        *((True, size, 8_104_640) for size in (32, 256)),
        *((False, 32, 12_233_408), (False, 64, 24_816_320), (False, 128, 75_147_968), (False, 256, 276_474_560)),
    ],
)
def test_parameter_counts_of_decoders(light, size, count):
    with torch.device("meta"):
        assert parameter_count(Generator(64, 64, 6, light, (3, size, size))) == count


def test_parameter_counts_of_discriminators():
    with torch.device("meta"):
        assert parameter_count(Discriminator(64, 1, 2, False, (3, 256, 256))) == 46_874_433
    assert parameter_count(Discriminator(8, 0, 1, True, (3, 32, 32))) == 53_833
    assert parameter_count(Generator(8, 8, 2, True, (3, 32, 32))) == 54_488


@pytest.mark.parametrize("size", [96, 128, 256])
def test_three_heads_and_a_code(size):
    with torch.device("meta"):
        critic = Discriminator(64, 1, 2, False, (3, size, size))
        output = critic(torch.empty(2, 3, size, size))
        image = Generator(64, 64, 6, True, (3, size, size))(output.code)
    local, whole = size // 8 - 2, size // 32 - 2  # 30 and 6 at 256 pixels
    assert [tuple(score.shape) for score in output.scores] == [(2, 1, local, local), (2, 1, whole, whole), (2,)]
    assert output.code.shape == (2, 128, size // 4, size // 4)
    assert image.shape == (2, 3, size, size)


def test_the_code_alone_is_the_same_and_costs_no_heads():
    critic = Discriminator(4, 0, 1, True, (3, 24, 24)).eval()
    images = torch.randn(2, 3, 24, 24)
    alone = critic(images, judged=False)
    assert alone.scores == ()
    assert torch.equal(alone.code, critic(images).code)


@pytest.mark.parametrize(("head", "field"), [(0, 70), (1, 286)])
def test_what_a_patch_sees(head, field):
    critic = Discriminator(1, 1, 2, False, (1, 512, 512)).double()
    nn.init.zeros_(critic.encoder.attention.classifier.weight)
    image = torch.randn(1, 1, 512, 512, dtype=torch.float64, requires_grad=True)
    score = critic(image).scores[head][0, 0]
    score[len(score) // 2, len(score) // 2].backward()
    rows, columns = image.grad[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == field
    assert columns.max() - columns.min() + 1 == field


def test_attention_begins_as_the_identity_and_then_weighs_channels():
    attention = Attention(3)
    hidden = torch.randn(2, 3, 4, 5)
    code, score = attention(hidden)
    torch.testing.assert_close(code, leaky_relu(hidden, 0.2))
    weight = attention.classifier.weight[0]
    pooled = torch.cat([hidden.mean((2, 3)), hidden.flatten(2).max(2).values], 1)
    torch.testing.assert_close(score, pooled @ weight)
    with torch.no_grad():
        attention.strength.fill_(0.5)
    average, maximum = (part[:, None, None] for part in weight.chunk(2))
    mixed = attention.mix(torch.cat([average * hidden, maximum * hidden], 1))
    torch.testing.assert_close(attention(hidden)[0], leaky_relu(0.5 * mixed + hidden, 0.2))


def test_attention_multiplies_by_the_normalised_weight():
    critic = Discriminator(4, 0, 1, True, (3, 24, 24)).eval()
    attention = critic.encoder.attention
    hidden = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        attention.strength.fill_(1.0)
        assert attention.classifier.weight.norm().item() == pytest.approx(1.0, abs=1e-5)
        before = attention(hidden)
        attention.classifier.parametrizations.weight.original.mul_(7.0)
        after = attention(hidden)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_spectral_normalisation_covers_all_but_the_attentions_mixing():
    critic = Discriminator(4, 1, 1, True, (3, 48, 48))
    plain = {
        name
        for name, module in critic.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not hasattr(module, "parametrizations")
    }
    assert plain == {"encoder.attention.mix"}


@pytest.mark.parametrize(("local", "whole", "least"), [(1, 2, 96), (0, 1, 24), (0, 0, 12)])
def test_smallest_image(local, whole, least):
    critic = Discriminator(2, local, whole, True, (3, least, least))
    assert critic(torch.randn(1, 3, least, least)).scores[1].shape == (1, 1, 1, 1)
    with pytest.raises(ValueError, match=f"at least {least} pixels.* use fewer halvings"):
        Discriminator(2, local, whole, True, (3, least, least - 4))


@pytest.mark.parametrize("sides", [(30, 32), (32, 30), (4, 4)])
def test_decoder_refuses_other_sides(sides):
    with pytest.raises(ValueError, match="divisible by 4"):
        Generator(4, 4, 1, True, (3, *sides))


@pytest.mark.parametrize("light", [True, False])
def test_decoder_treats_samples_alone_and_stays_in_range(light):
    decoder = Generator(2, 4, 1, light, (3, 16, 24))
    code = torch.randn(2, 4, 4, 6)
    images = decoder(code)
    assert images.shape == (2, 3, 16, 24)
    assert images.abs().max() <= 1
    torch.testing.assert_close(decoder(code[:1]), images[:1])


def test_a_light_decoder_takes_other_sizes():
    light, full = (Generator(4, 4, 1, light, (3, 24, 24)) for light in (True, False))
    assert (light.multiple, light.least) == (4, 8)
    assert not hasattr(full, "multiple")
    critic = Discriminator(4, 0, 1, True, (3, 24, 24))
    for side in (8, 12):
        images = torch.zeros(1, 3, side, 8)
        assert light(critic(images, judged=False).code).shape == images.shape


def test_encoder_code_at_a_quarter():
    code, score = Encoder(4, 1)(torch.randn(2, 1, 16, 24))
    assert (code.shape, score.shape) == ((2, 8, 4, 6), (2,))


def test_the_mix_is_between_instance_and_layer_norm():
    hidden = 3 + 2 * torch.randn(2, 4, 5, 6) * torch.arange(1.0, 5)[:, None, None]
    instance = (hidden - hidden.mean((2, 3), keepdim=True)) / hidden.var((2, 3), correction=0, keepdim=True).sqrt()
    layer = (hidden - hidden.mean((1, 2, 3), keepdim=True)) / hidden.var((1, 2, 3), correction=0, keepdim=True).sqrt()
    torch.testing.assert_close(InstanceLayerMix(4, 50.0, 0.0)(hidden), instance, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(InstanceLayerMix(4, 0.0, 50.0)(hidden), layer, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(InstanceLayerMix(4, 1.0, 1.0)(hidden), (instance + layer) / 2, atol=1e-4, rtol=1e-4)
    share = torch.tensor([3.2, 1.0]).softmax(0)[0].item()  # 0.9
    torch.testing.assert_close(ILN(4)(hidden), (1 - share) * instance + share * layer, atol=1e-4, rtol=1e-4)
    gain, bias = torch.randn(2, 2, 4).unbind()
    expected = gain[..., None, None] * (share * instance + (1 - share) * layer) + bias[..., None, None]
    torch.testing.assert_close(AdaLIN(4)(hidden, gain, bias), expected, atol=1e-4, rtol=1e-4)


def test_a_discriminator_that_encodes_in_bf16_returns_close_scores():
    critic = Discriminator(4, 0, 1, True, (3, 24, 24)).eval()
    images = torch.randn(2, 3, 24, 24)
    exact = critic(images)
    with torch.autocast("cpu", torch.bfloat16):
        rough = critic(images)
    for one, other in zip((*exact.scores, exact.code), (*rough.scores, rough.code), strict=True):
        torch.testing.assert_close(other.float(), one, atol=0.05, rtol=0.05)
