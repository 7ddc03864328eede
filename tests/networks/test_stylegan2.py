"""StyleGAN2's layers against explicit loops and closed forms; counts of its networks; styles, mixing and truncation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from ganrun.core.types import parameter_count
from ganrun.losses.base import couples_samples
from ganrun.networks import stylegan2
from ganrun.networks.layers.equalised import EqualisedConv2d, EqualisedLinear, leaky
from ganrun.networks.layers.resample import Blur, Resample

CONDITIONAL = {"conditional": True, "classes": 10}
TAPS = (1, 3, 3, 1)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def generator(size=8, latent_size=6, **changes):
    options = {
        "style_size": 5,
        "mapping_layers": 2,
        "mapping_rate": 0.01,
        "base_width": 32,
        "max_width": 4,
        "style_mixing": 0.0,
        "mean_decay": 0.9,
        "conditional": False,
        "channels": 3,
        "classes": 10,
    }
    return stylegan2.Generator(latent_size, size=size, **options | changes)


def discriminator(size=8, **changes):
    options = {
        "base_width": 32,
        "max_width": 4,
        "residual": True,
        "minibatch": "stddev",
        "minibatch_group": 4,
        "mapping_layers": 2,
        "mapping_rate": 0.01,
        "conditional": False,
        "channels": 3,
        "classes": 10,
    }
    return stylegan2.Discriminator(size=size, **options | changes)


def counts(size, generator_options, discriminator_options):
    with torch.device("meta"):
        made = generator(size, **generator_options), discriminator(size, **discriminator_options)
    return tuple(parameter_count(network) for network in made)


WIDE = {"base_width": 16384, "max_width": 512}
BIG = {"latent_size": 512, "style_size": 512}


@pytest.mark.parametrize(
    ("size", "layers", "expected"),
    [
        (32, 8, (21_523_475, 21_507_073)),
        (64, 8, (23_819_544, 23_407_361)),
        (128, 8, (24_525_213, 23_882_369)),
        (256, 8, (24_767_458, 24_001_089)),
    ],
)
def test_counts_by_size(size, layers, expected):
    assert counts(size, WIDE | BIG | {"mapping_layers": layers}, WIDE) == expected


def test_counts_of_the_papers():
    wider = WIDE | {"base_width": 32768}
    assert counts(1024, wider | BIG | {"mapping_layers": 8}, wider) == (30_370_060, 29_012_513)
    cifar = WIDE | {"residual": False}
    assert counts(32, WIDE | BIG, cifar) == (19_947_539, 20_720_641)
    assert counts(32, WIDE | BIG | CONDITIONAL, cifar | CONDITIONAL) == (20_215_315, 21_513_728)


def test_counts_of_small_settings():
    narrow, styles = {"base_width": 1024, "max_width": 64}, {"latent_size": 64, "style_size": 64}
    assert counts(32, narrow | styles, narrow) == (263_987, 288_993)
    assert counts(32, narrow | styles, narrow | {"residual": False})[1] == 278_753
    assert counts(16, narrow | styles, narrow) == (227_854, 259_329)


def test_equalised_layers_start_with_effective_weights_of_unit_gain():
    for layer, fan_in in ((EqualisedLinear(300, 200, rate=0.01), 300), (EqualisedConv2d(40, 50, 3), 360)):
        effective = layer.weight * layer.gain
        assert effective.std().item() == pytest.approx(fan_in**-0.5, rel=0.02)
        assert effective.mean().item() == pytest.approx(0, abs=0.02 * fan_in**-0.5)
    assert EqualisedLinear(3, 2, bias=1.0, rate=0.1)(torch.zeros(1, 3)).tolist() == [[1.0, 1.0]]
    hidden = EqualisedLinear(500, 500)(torch.randn(64, 500))
    assert hidden.var().item() == pytest.approx(1.0, rel=0.05)
    assert leaky(hidden).square().mean().item() == pytest.approx(1.04, rel=0.05)  # (1 + 0.2²)/2 · 2


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_a_rate_slows_adam_down_and_leaves_the_start_alone(rate):
    """Adam's first step has length lr in every weight, whatever the gradient."""
    layer = EqualisedLinear(16, 4, bias=2.0, rate=rate)
    before = torch.cat([(layer.weight * layer.gain).flatten(), layer.bias * rate]).detach()
    layer(torch.randn(8, 16)).sum().backward()
    torch.optim.Adam(layer.parameters(), lr=1e-3, eps=1e-12).step()
    moved = (torch.cat([(layer.weight * layer.gain).flatten(), layer.bias * rate]) - before).abs()
    expected = torch.cat([torch.full((64,), 1e-3 * rate / 4), torch.full((4,), 1e-3 * rate)])
    torch.testing.assert_close(moved, expected, rtol=0.05, atol=1e-7)


def explicit(layer: stylegan2.ModulatedConv2d, hidden, w):
    """Equations 1 and 3, sample by sample."""
    outputs = []
    for sample, style in zip(hidden, layer.style(w), strict=True):
        kernel = layer.weight * layer.gain * style[None, :, None, None]
        if layer.demodulate:
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.blur is None:
            outputs.append(conv2d(sample[None], kernel, padding=kernel.shape[2] // 2))
        else:  # zeros between the pixels, a convolution, the filter
            spread = torch.zeros(1, len(sample), 2 * sample.shape[1] - 1, 2 * sample.shape[2] - 1, dtype=hidden.dtype)
            spread[0, :, ::2, ::2] = sample
            outputs.append(layer.blur(conv2d(spread, kernel.flip(2, 3), padding=2)))
    return torch.cat(outputs)


@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize(("kernel_size", "up"), [(1, False), (3, False), (3, True)])
def test_modulated_convolution_is_a_kernel_of_ones_own_per_sample(kernel_size, up, demodulate):
    layer = stylegan2.ModulatedConv2d(3, 4, kernel_size, 5, demodulate, up).double()
    hidden = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    w = torch.randn(2, 5, dtype=torch.float64)
    output = layer(hidden, w)
    assert output.shape == (2, 4, 12, 10) if up else (2, 4, 6, 5)
    torch.testing.assert_close(output, explicit(layer, hidden, w))
    hidden.requires_grad_()
    w.requires_grad_()
    assert torch.autograd.gradcheck(layer, (hidden, w), fast_mode=True)
    assert torch.autograd.gradgradcheck(layer, (hidden, w), fast_mode=True)


def test_demodulation_normalises():
    """Independent inputs of unit variance give outputs of unit variance, whatever style and weights."""
    layer = stylegan2.ModulatedConv2d(8, 6, 3, 5, demodulate=True)
    nn.init.normal_(layer.weight, 0.0, 3.0)
    w = 4 * torch.randn(3, 5)
    output = layer(torch.randn(3, 8, 150, 150), w)[:, :, 1:-1, 1:-1]
    torch.testing.assert_close(output.var((2, 3)), torch.ones(3, 6), rtol=0.05, atol=0)
    style, weight = layer.style(w), layer.weight * layer.gain
    kernels = weight * style[:, None, :, None, None] * stylegan2._inverse_norm(style, weight)[..., None, None, None]
    torch.testing.assert_close(kernels.square().sum((2, 3, 4)), torch.ones(3, 6))
    one = layer(torch.ones(3, 8, 5, 5), w)
    with torch.no_grad():
        layer.weight.mul_(100)
    torch.testing.assert_close(layer(torch.ones(3, 8, 5, 5), w), one, rtol=1e-4, atol=1e-5)


def test_demodulation_is_exact_under_bf16():
    style, weight = torch.randn(2, 8), torch.randn(4, 8, 3, 3)
    expected = stylegan2._inverse_norm(style, weight)
    network, images = generator(), torch.randn(4, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = stylegan2._inverse_norm(style, weight)
        made = network(torch.randn(4, 6))
        score = discriminator(**CONDITIONAL)(images, torch.arange(4)).score
        assert network.mapping(torch.randn(4, 6)).dtype == made.dtype == score.dtype == torch.float32
    assert torch.equal(found, expected)
    assert made.isfinite().all()


@pytest.mark.parametrize("taps", [TAPS, (1, 2, 1)])
def test_filters_conserve_the_mean(taps):
    """What does not reach the border: its sum is kept by the filter, quadrupled and quartered by resampling."""
    hidden = torch.zeros(2, 3, 12, 12)
    hidden[:, :, 4:8, 4:8] = torch.rand(2, 3, 4, 4)
    total = hidden.sum((2, 3))
    torch.testing.assert_close(Blur(taps, 2, 1.0)(hidden).sum((2, 3)), total)
    torch.testing.assert_close(Resample(taps, up=True)(hidden).sum((2, 3)), 4 * total)
    ones = torch.ones(1, 1, 12, 12)
    for layer in (Blur(taps, 0, 1.0), Resample(taps, up=True), Resample(taps, up=False)):
        torch.testing.assert_close(layer(ones)[..., 1:-1, 1:-1].unique(), torch.ones(1))
    up, down = Resample(taps, up=True), Resample(taps, up=False)
    other = torch.randn(2, 3, 24, 24)  # up is 4 times the transpose of down
    torch.testing.assert_close((up(hidden) * other).sum() / 4, (hidden * down(other)).sum())
    assert not up.state_dict()


def test_filter_of_four_taps():
    line = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    up = Resample(TAPS, up=True)(line)
    assert up[0, 0, 2].tolist() == [0.75, 1.25, 1.75, 2.5, 3.5, 3.0]  # 3/4 of the pixel, 1/4 of the neighbour
    row = torch.tensor([8.0, 0.0, 0.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 6).expand(1, 1, 6, 6)
    assert Blur(TAPS, 2, 1.0)(row)[0, 0, 3].tolist() == [3.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_noise_has_no_strength_in_the_beginning():
    network, z = generator(), torch.randn(2, 6)
    images = network(z)
    assert torch.equal(network(z), images)
    strengths = [layer.strength for layer in network.modules() if isinstance(layer, stylegan2.SynthesisLayer)]
    assert [strength.item() for strength in strengths] == [0.0] * 3
    with torch.no_grad():
        for strength in strengths:
            strength.fill_(0.5)
    assert not torch.equal(network(z), network(z))
    network.eval()
    assert torch.equal(network(z), network(z))
    assert not torch.equal(network(z), images)
    torch.testing.assert_close(network(z)[:1], network(z[:1]))  # the same noise for every sample


@pytest.mark.parametrize("size", [8, 32, 64, 128])
def test_two_styles_per_resolution(size):
    network = generator(size, base_width=128, max_width=2)
    assert network.style_count == 2 * math.log2(size) - 2
    styles = torch.randn(1, network.style_count, 5, requires_grad=True)
    images = network(styles)
    assert images.shape == (1, 3, size, size)
    (gradient,) = torch.autograd.grad(images.square().sum(), styles)
    assert (gradient.norm(dim=2) > 0).all()


def test_the_last_style_only_colours():
    """The last layer is linear in the style that scales its inputs: the sum of two changes is the change of both."""
    network, styles = generator(), torch.randn(1, 4, 5)
    change = torch.zeros(2, 4, 5)
    change[:, -1] = torch.randn(2, 5)
    plain, one, other, both = network(torch.cat([styles, styles + change, styles + change.sum(0, keepdim=True)]))
    torch.testing.assert_close(both - plain, (one - plain) + (other - plain), rtol=1e-4, atol=1e-5)


def test_styles_cross_over_at_a_layer():
    network, count = generator(32, style_mixing=0.75), 2000
    z = torch.randn(count, 6)
    styles, first = network.styles(z), network.mapping(z)
    kept = (styles == first[:, None]).all(2)
    lengths = kept.sum(1)
    assert torch.equal(kept, torch.arange(8) < lengths[:, None])  # the first so many layers
    for sample, length in zip(styles[:20], lengths[:20], strict=True):
        assert len(sample[length:].unique(dim=0)) == (length < 8)  # one other latent for all the rest
    shares = torch.bincount(lengths, minlength=9) / count
    assert shares[0] == 0
    assert shares[8].item() == pytest.approx(0.25, abs=0.04)
    assert shares[1:8].tolist() == pytest.approx([0.75 / 7] * 7, abs=0.03)
    network.eval()
    assert torch.equal(network.styles(z), first[:, None].expand(-1, 8, -1))


def test_styles_are_drawn_to_their_running_mean():
    network, z = generator(), torch.randn(64, 6)
    first = network.mapping(z).mean(0)
    network(z)
    torch.testing.assert_close(network.style_mean, 0.1 * first)
    network(z)
    torch.testing.assert_close(network.style_mean, 0.19 * first)
    network.eval()
    mean, plain = network.style_mean.clone(), network.styles(z)
    for psi in (0.0, 0.7):
        network.psi = psi
        torch.testing.assert_close(network.styles(z), mean + psi * (plain - mean))
    network.psi = 0.0
    assert network(z).std(0).max() < 1e-6
    assert torch.equal(network.style_mean, mean)
    assert {"style_mean", "first.noise"} <= network.state_dict().keys()


def test_the_length_of_a_latent_does_not_matter():
    network, z = generator().eval(), torch.randn(3, 6)
    torch.testing.assert_close(network(10 * z), network(z))


def test_images_of_the_sum_over_resolutions():
    network, styles = generator(16).eval(), torch.randn(2, 6, 5)
    whole = network(styles)
    parts = []
    for index in range(3):
        with torch.no_grad():
            kept = [(layer.convolution.weight.clone(), layer.bias.clone()) for layer in network.to_image]
            for other, layer in enumerate(network.to_image):
                if other != index:
                    layer.convolution.weight.zero_()
            parts.append(network(styles))
            for (weight, _), layer in zip(kept, network.to_image, strict=True):
                layer.convolution.weight.copy_(weight)
    torch.testing.assert_close(sum(parts), whole, rtol=1e-4, atol=1e-5)


def test_second_derivatives_of_the_synthesis():
    network = generator(max_width=2, style_size=3, channels=1).double().eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, stylegan2.SynthesisLayer):
                layer.strength.fill_(0.3)
    styles = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (styles,))
    assert torch.autograd.gradgradcheck(network, (styles,), fast_mode=True)


def test_second_derivatives_of_the_discriminator():
    network = discriminator(max_width=2, channels=1).double()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda images: network(images).score, (images,), fast_mode=True)


def test_channels_last_changes_nothing():
    network, judge, z = generator(16).eval(), discriminator(16), torch.randn(4, 6)
    images = network(z)
    score = judge(images).score
    network.to(memory_format=torch.channels_last)
    judge.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(z), images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(judge(images).score, score, rtol=1e-4, atol=1e-5)


def test_labels_matter():
    network, judge = generator(**CONDITIONAL).eval(), discriminator(**CONDITIONAL, minibatch="none")
    z, labels = torch.randn(3, 6), torch.tensor([0, 1, 2])
    images = network(z, labels)
    assert not torch.equal(images[0], network(z, labels.flip(0))[0])
    assert torch.equal(images[1], network(z, labels.flip(0))[1])
    scores = judge(images, labels).score
    assert (scores != judge(images, labels.flip(0)).score).tolist() == [True, False, True]
    torch.testing.assert_close(judge(images[:1], labels[:1]).score, scores[:1])
    for call in (lambda: network(z), lambda: judge(images)):
        with pytest.raises(ValueError, match="was given no labels"):
            call()


def test_a_conditional_score_is_an_inner_product():
    judge = discriminator(**CONDITIONAL, minibatch="none")
    images, labels = torch.randn(3, 3, 8, 8), torch.tensor([4, 1, 1])
    seen = []
    judge.head.register_forward_hook(lambda module, inputs, output: seen.append(output))
    scores = judge(images, labels).score
    torch.testing.assert_close(scores, (seen[0] * judge.mapping(None, labels)).sum(1) / 2)  # √4


@pytest.mark.parametrize("residual", [False, True])
def test_blocks_of_the_discriminator(residual):
    block, images = stylegan2.Block(3, 5, residual), torch.randn(2, 3, 8, 8)
    branch = leaky(block.second(block.blur(leaky(block.first(images)))))
    expected = (branch + block.shortcut(images)) / math.sqrt(2) if residual else branch
    assert expected.shape == (2, 5, 4, 4)
    torch.testing.assert_close(block(images), expected)
    output = discriminator(16, residual=residual)(torch.randn(4, 3, 16, 16))
    assert [tuple(feature.shape[1:]) for feature in output.features] == [(4, 8, 8), (4, 4, 4)]


def test_only_the_minibatch_layer_couples_samples():
    assert couples_samples(discriminator())
    assert not couples_samples(discriminator(minibatch="none"))


def test_transposed_convolution_then_filter_is_filter_between_pixels():
    """The order of the published code: a convolution at twice the resolution, and one filter behind it."""
    layer = stylegan2.ModulatedConv2d(2, 3, 3, 4, demodulate=False, up=True)
    hidden, w = torch.randn(1, 2, 5, 5), torch.randn(1, 4)
    kernel = (layer.weight * layer.gain * layer.style(w)[:, :, None, None]).transpose(0, 1)
    spread = conv_transpose2d(hidden, kernel, stride=2)
    assert spread.shape[2:] == (11, 11)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernels = torch.outer(line, line).expand(3, 1, 4, 4)
    torch.testing.assert_close(layer(hidden, w), conv2d(spread, kernels, padding=1, groups=3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: generator(24), "StyleGAN2 makes square images of .* got 24"),
        (lambda: discriminator(4), "got 4"),
        (lambda: generator(64), "base_width=32 leaves no channels at 64 pixels"),
    ],
)
def test_impossible_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
