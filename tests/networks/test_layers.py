"""Shared layers against closed forms and independent computations."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from ganrun.networks.layers.condition import ConditionalNorm, Projection
from ganrun.networks.layers.init import initialise, normal_init
from ganrun.networks.layers.minibatch import MinibatchDiscrimination, MinibatchStandardDeviation, minibatch_layer
from ganrun.networks.layers.norm import norm_layer
from ganrun.networks.layers.spectral_norm import SpectralNorm, spectral_normalise
from ganrun.networks.layers.virtual_batch_norm import ReferenceBatch, VirtualBatchNorm


def test_minibatch_discrimination_of_three_samples():
    layer = MinibatchDiscrimination(2, 2, 2).double()
    tensor = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]]], dtype=torch.float64)  # A x B x C
    layer.projection.weight = nn.Parameter(tensor.flatten(1).T)
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    output = layer(features)
    assert torch.equal(output[:, :2], features)
    sums = [[0.503214724408, 0.417666509539], [0.503214724408, 0.185122351604], [0.735758882343, 0.503214724408]]
    torch.testing.assert_close(2 * output[:, 2:], torch.tensor(sums, dtype=torch.float64), rtol=0, atol=1e-11)


def test_minibatch_discrimination_of_copies_strangers_and_one():
    layer = MinibatchDiscrimination(4, 3, 2)
    copies = torch.ones(5, 4)
    torch.testing.assert_close(layer(copies)[:, 4:], torch.ones(5, 3))
    strangers = 1e4 * torch.eye(4)
    torch.testing.assert_close(layer(strangers)[:, 4:], torch.zeros(4, 3))
    assert torch.equal(layer(copies[:1])[:, 4:], torch.zeros(1, 3))
    maps = torch.randn(3, 4, 2, 2)
    layer = MinibatchDiscrimination(16, 3, 2)
    planes = layer(maps)[:, 4:]
    assert planes.shape == (3, 3, 2, 2)
    torch.testing.assert_close(planes, layer(maps.flatten(1))[:, 16:, None, None].expand(-1, -1, 2, 2))


def test_minibatch_standard_deviation_of_four_samples():
    first = torch.tensor([0.0, 1.0, 3.0, -3.0], dtype=torch.float64)
    step = torch.tensor([0.25, 0.25, 0.25, -0.25], dtype=torch.float64)
    images = torch.stack([first + step * k for k in range(4)], 1).view(4, 2, 1, 2)
    assert images[3].flatten().tolist() == [-3.0, -3.25, -3.5, -3.75]
    whole = MinibatchStandardDeviation(4)(images)
    assert torch.equal(whole[:, :2], images)
    torch.testing.assert_close(whole[:, 2], torch.full((4, 1, 2), 2.45422783916, dtype=torch.float64))
    pairs = MinibatchStandardDeviation(2)(images)[:, 2, 0, 0].tolist()  # samples 0 and 2, 1 and 3
    assert pairs == pytest.approx([1.50000000333, 2.37500000214] * 2, abs=1e-11)


def test_minibatch_standard_deviation_of_other_batches():
    layer = MinibatchStandardDeviation(4)
    assert layer(torch.ones(8, 3))[:, 3].tolist() == pytest.approx([1e-4] * 8)
    assert layer(torch.randn(1, 3))[:, 3].tolist() == pytest.approx([1e-4])  # a group of one does not vary
    six = torch.randn(6, 3)
    torch.testing.assert_close(layer(six), MinibatchStandardDeviation(3)(six))  # 3 is the divisor of 6 below 4
    seven = torch.randn(7, 3)
    torch.testing.assert_close(layer(seven), MinibatchStandardDeviation(1)(seven))
    two = torch.randn(2, 3)
    torch.testing.assert_close(layer(two), MinibatchStandardDeviation(2)(two))


def test_minibatch_layer_by_name():
    for name, channels in (("none", 5), ("discrimination", 12), ("stddev", 6)):
        layer, count = minibatch_layer(name, 5, 4, 7, 2, 4)
        assert count == channels == layer(torch.randn(3, 5, 2, 2)).shape[1]
    with pytest.raises(ValueError, match="unknown minibatch layer 'std'"):
        minibatch_layer("std", 5, 4, 7, 2, 4)


def test_virtual_batch_norm_of_a_number():
    layer = VirtualBatchNorm(1, 4).double()
    batch = torch.tensor([[1.0], [2.0], [3.0], [6.0], [9.0], [0.0]], dtype=torch.float64)
    output = layer(batch).flatten()
    assert output[4].item() == pytest.approx((9 - 4.2) / math.sqrt(8.56 + 1e-5), abs=1e-12)
    assert output[4].item() == pytest.approx(1.64060622486, abs=1e-5)
    torch.testing.assert_close(output[:4], nn.BatchNorm1d(1).double()(batch[:4]).detach().flatten())


def test_virtual_batch_norm_of_maps():
    torch.manual_seed(0)
    layer = VirtualBatchNorm(3, 5).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    batch = torch.randn(7, 3, 2, 4, dtype=torch.float64) * 2 + 1
    output = layer(batch)
    for index in (5, 6):
        both = batch[[0, 1, 2, 3, 4, index]].transpose(0, 1).flatten(1)  # each example counts as much as a reference
        expected = (batch[index] - both.mean(1)[:, None, None]) / (both.var(1, correction=0) + 1e-5).sqrt()[
            :, None, None
        ]
        expected = expected * layer.weight[:, None, None] + layer.bias[:, None, None]
        torch.testing.assert_close(output[index], expected)
    assert torch.autograd.gradcheck(layer, batch.requires_grad_(True))


def test_reference_batch_has_every_class_and_is_a_buffer():
    torch.manual_seed(0)
    reference = ReferenceBatch(6, 8, 4)
    assert set(reference.state_dict()) == {"latents", "labels"}
    z, labels = reference.prepend(torch.zeros(2, 8), torch.tensor([3, 3]))
    assert labels.tolist() == [0, 1, 2, 3, 0, 1, 3, 3]
    assert torch.equal(reference.drop(z), torch.zeros(2, 8))
    assert set(ReferenceBatch(6, 8, 0).state_dict()) == {"latents"}


def test_projection_of_two_samples():
    layer = Projection(2, 2)
    layer.embedding.weight = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    features = torch.tensor([[0.5, -1.0], [2.0, 0.3]])
    score = features @ torch.tensor([0.7, -0.2]) + layer(features, torch.tensor([0, 1]))
    assert score.tolist() == pytest.approx([1.05, 1.94])
    maps = features[:, :, None, None].expand(-1, -1, 2, 2) / 4  # summed over positions
    torch.testing.assert_close(layer(maps, torch.tensor([0, 1])), layer(features, torch.tensor([0, 1])))


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "virtual"])
def test_conditional_norm_scales_by_class(norm):
    torch.manual_seed(0)
    layer = norm_layer(norm, 4, classes=3, reference=2)
    assert isinstance(layer, ConditionalNorm)
    assert sum(p.numel() for p in layer.parameters()) == 3 * 2 * 4
    hidden, labels = torch.randn(5, 4, 2, 2), torch.tensor([0, 2, 1, 1, 0])
    plain = layer(hidden, labels)
    with torch.no_grad():
        layer.gain[1], layer.bias[1] = 3.0, -1.0
    changed = layer(hidden, labels)
    torch.testing.assert_close(changed[2:4], 3 * plain[2:4] - 1)
    torch.testing.assert_close(changed[[0, 1, 4]], plain[[0, 1, 4]])
    with pytest.raises(ValueError, match="was given no labels"):
        layer(hidden, None)


def test_norms_by_name():
    with pytest.raises(ValueError, match="unknown norm 'auto'; choose batch"):
        norm_layer("auto", 4)
    with pytest.raises(ValueError, match="norm is none"):
        norm_layer("none", 4, classes=3)


def test_power_iteration_of_a_matrix():
    weight = torch.tensor([[3.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    layer = SpectralNorm(weight, 0)
    layer.u.copy_(torch.ones(2) / math.sqrt(2))
    expected = [3.10086836473, 3.17895004214, 3.17958186254, 3.17958676326, 3.17958680126, 3.17958680156]
    for sigma in expected:
        assert 3 / layer(weight)[0, 0].item() == pytest.approx(sigma, abs=1e-11)
    u = layer.u.clone()
    layer.eval()
    assert 3 / layer(weight)[0, 0].item() == pytest.approx(3.17958680156, abs=1e-11)
    assert torch.equal(layer.u, u)
    layer.u.mul_(0.3)  # as after averaging
    assert 3 / layer(weight)[0, 0].item() == pytest.approx(3.17958680156, abs=1e-11)


def test_spectral_norm_of_a_kernel_is_that_of_its_matrix():
    convolution = nn.Conv2d(1, 1, 3)
    nn.init.ones_(convolution.weight)
    spectral_normalise(convolution)
    torch.testing.assert_close(convolution.weight, torch.full((1, 1, 3, 3), 1 / 3))


def test_gradient_of_spectral_norm_holds_the_singular_vectors():
    """``∂(⟨A, W⟩ / σ) / ∂W = A / σ - ⟨A, W⟩ u vᵀ / σ²``, and the change of σ itself is first order in W."""
    torch.manual_seed(0)
    weight = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(4, 6, dtype=torch.float64)
    layer = SpectralNorm(weight, 0)
    for _ in range(200):
        layer(weight)
    (gradient,) = torch.autograd.grad((layer(weight) * direction).sum(), weight)
    u, sigma, v = torch.linalg.svd(weight.detach())
    inner = (direction * weight.detach()).sum()
    expected = direction / sigma[0] - inner * torch.outer(u[:, 0], v[0]) / sigma[0] ** 2
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-8)


def test_spectral_norm_of_zero_is_zero_and_copies_are_independent():
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight)
    spectral_normalise(layer)
    assert torch.equal(layer.weight, torch.zeros(2, 3))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        twin.parametrizations.weight.original.fill_(1.0)
    twin(torch.ones(1, 3))
    assert torch.equal(layer.weight, torch.zeros(2, 3))


def test_spectral_norm_works_in_float32_under_autocast():
    torch.manual_seed(0)
    layer = nn.Linear(40, 30)
    spectral_normalise(layer)
    layer.eval()
    whole = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, whole)


def test_normal_initialisation_is_that_of_dcgan():
    networks = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 2, 3)) for _ in range(2)]
    torch.manual_seed(0)
    initialise(networks[0], "normal")
    torch.manual_seed(0)
    normal_init(networks[1])
    assert all(torch.equal(a, b) for a, b in zip(networks[0].parameters(), networks[1].parameters(), strict=True))


def test_initialisations():
    torch.manual_seed(0)
    layer = nn.Linear(200, 100)
    initialise(layer, "xavier", gain=math.sqrt(2))
    assert layer.weight.std().item() == pytest.approx(math.sqrt(4 / 300), rel=0.02)
    assert layer.weight.abs().max().item() <= math.sqrt(3 * 4 / 300)
    assert torch.equal(layer.bias, torch.zeros(100))
    initialise(layer, "normal")
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
    before = layer.weight.clone()
    initialise(layer, "default")
    assert torch.equal(layer.weight, before)
    with pytest.raises(ValueError, match="unknown initialisation 'he'"):
        initialise(layer, "he")
